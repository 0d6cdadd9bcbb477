"""`interrogate/*` for requesters: what a picture shows, or a picture made of it. One form is one job."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.horde import generations, pictures, requests
from headrace.api.dialects.horde.asking import met_by, stream_link, take_in, webhook_of
from headrace.api.dialects.horde.auth import ClientAgent, Requester
from headrace.api.dialects.horde.checking import RequestId, end, link_to, made_of
from headrace.api.dialects.horde.documents import body, errors, routes
from headrace.api.dialects.horde.errors import wrong_payload
from headrace.api.dialects.horde.forms import read, told
from headrace.api.dialects.horde.generations import Made
from headrace.api.dialects.horde.rates import at_most
from headrace.api.dialects.horde.schemas import AlchemyAcceptedView, AlchemyStatusView, FormView
from headrace.api.dialects.horde.schemas_asked import AlchemyRequest
from headrace.api.dialects.horde.translate_forms import KINDS, form_of, form_plan, is_known
from headrace.contracts.ids import BlobId
from headrace.core.job import HELD, Job, State

router = routes()


@router.post(
    "/interrogate/async",
    dependencies=[at_most("ask")],
    status_code=202,
    response_class=Response,
    responses={
        202: {"model": AlchemyAcceptedView, "description": "Accepted and kept."},
        **errors(408, 413, 415, 429),
    },
    openapi_extra=body("AlchemyRequest"),
)
async def ask_for_forms(
    request: Request, deps: Deps, asker: Requester, agent: ClientAgent
) -> Response:
    """Have a picture described, judged, or made larger; asked after with `interrogate/status`."""
    asked = await read(request, deps, AlchemyRequest, limit=3 * deps.limits.blob_bytes)
    _refuse_what_nobody_does(asked)
    webhook = webhook_of(deps, asked.webhook)
    source = await pictures.keep(deps, asker.tenant, asked.source_image, "source_image")
    id_ = deps.new_id()
    met, payer = await met_by(deps, asker, id_, agent)
    plan = form_plan(asked, source, met).told_to(webhook)
    await take_in(deps, id_, plan.paid_by(payer))
    waiting = " ".join(warning.message for warning in plan.warnings)
    view = AlchemyAcceptedView(id=id_, message=waiting or None)
    return told(view, 202, {"Link": stream_link(id_)})


def _refuse_what_nobody_does(asked: AlchemyRequest) -> None:
    for place, form in enumerate(asked.forms):
        if not is_known(form.name):
            raise wrong_payload({f"forms.{place}.name": f"there is no form {form.name!r}"})
    if len({form.name for form in asked.forms}) < len(asked.forms):
        raise wrong_payload({"forms": "each form at most once"})


@router.get(
    "/interrogate/status/{id}",
    dependencies=[at_most("text-status")],
    response_class=Response,
    responses={200: {"model": AlchemyStatusView}, **errors(404, 429)},
)
async def form_status(http: Request, deps: Deps, request: RequestId) -> Response:
    """How each form stands, and what came of it."""
    return await _status(http, deps, request)


@router.delete(
    "/interrogate/status/{id}",
    response_class=Response,
    responses={200: {"model": AlchemyStatusView}, **errors(404)},
)
async def end_forms(http: Request, deps: Deps, request: RequestId) -> Response:
    """Ends it; tells what there was until then. Asking again changes nothing."""
    await end(deps, request, KINDS)
    return await _status(http, deps, request)


async def _status(http: Request, deps: ApiDeps, request: str) -> Response:
    async with deps.store.begin() as tx:
        jobs = await requests.jobs_of(tx, request, KINDS)
    made = {each.job.id: each for each in await made_of(deps, jobs)}
    forms = [await _form(http, deps, job, made.get(job.id)) for job in jobs]
    view = AlchemyStatusView(state=_whole({each.state for each in forms}), forms=forms)
    return told(view, headers={"Link": stream_link(request)})


async def _form(http: Request, deps: ApiDeps, job: Job, made: Made | None) -> FormView:
    form = form_of(job)
    result = None if made is None else await _result(http, deps, form, made)
    return FormView(form=form, state=_state(job), result=result)


async def _result(http: Request, deps: ApiDeps, form: str, made: Made) -> dict[str, Any] | None:
    """As the protocol has it: `{caption}`, `{nsfw}`, `{interrogation}`, or `{<form>: address}`."""
    blob = generations.blob_of(made.output)
    if blob is not None:
        return {form: await link_to(http, deps, made.job.tenant, BlobId(blob))}
    match made.output.get("result"):
        case dict() as result:
            return result
        case _:
            found = made.output.get(form, made.output.get("text"))
            return None if found is None else {form: found}


_STATES: Final = {
    State.SUCCEEDED: "done",
    State.FAILED: "faulted",
    State.DEAD: "faulted",
    State.CANCELLED: "cancelled",
}


def _state(job: Job) -> str:
    if job.state in _STATES:
        return _STATES[job.state]
    if job.cancel_asked_at is not None:
        return "cancelled"
    return "processing" if job.state in HELD else "waiting"


def _whole(states: set[str]) -> str:
    """Of all forms together."""
    for state in ("processing", "waiting", "partial"):
        if state in states:
            return "partial" if "done" in states else state
    return next((state for state in ("faulted", "cancelled") if state in states), "done")
