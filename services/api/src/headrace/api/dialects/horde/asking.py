"""`POST generate/async` and `generate/text/async`: a request is taken in, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from fastapi import Request
from starlette.responses import Response

from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.horde import pictures, requests
from headrace.api.dialects.horde.auth import Asker, ClientAgent, Requester
from headrace.api.dialects.horde.documents import body, errors, routes
from headrace.api.dialects.horde.errors import HordeError, wrong_payload
from headrace.api.dialects.horde.forms import read, told
from headrace.api.dialects.horde.rates import at_most
from headrace.api.dialects.horde.schemas import AcceptedView, QuoteView
from headrace.api.dialects.horde.schemas_asked import (
    HordeImageRequest,
    HordeVideoRequest,
    TextRequest,
)
from headrace.api.dialects.horde.sharing import must_allow
from headrace.api.dialects.horde.translate import Circumstances, Plan, image_plan, text_plan
from headrace.api.tracing import received_traceparent
from headrace.contracts.ids import UserId
from headrace.core.errors import BadWebhook
from headrace.core.inputs import check_input
from headrace.core.job import Webhook
from headrace.core.kudos import in_kudos
from headrace.core.ports.users import ANONYMOUS
from headrace.core.usecases.submit import Submission, Taking, submit_together
from headrace.core.usecases.users import user_for
from headrace.core.webhooks import check_webhook

router = routes()
_PICTURES_BYTES: Final = 3  # of this many blobs of the largest size a body may consist

_Asked = TypeVar("_Asked", HordeImageRequest, HordeVideoRequest, TextRequest)
_Planned: TypeAlias = Callable[[Circumstances], Plan]
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": QuoteView, "description": "What it would cost: `dry_run`."},
    202: {"model": AcceptedView, "description": "Accepted and kept."},
    **errors(404, 408, 413, 415, 429),
}


@router.post(
    "/generate/async",
    dependencies=[at_most("ask")],
    status_code=202,
    response_class=Response,
    responses=ANSWERS,
    openapi_extra=body("HordeImageRequest"),
)
async def ask_for_images(
    request: Request, deps: Deps, asker: Requester, agent: ClientAgent
) -> Response:
    """Ask for images; the answer's id is asked after with `generate/check` and `generate/status`."""
    limit = _PICTURES_BYTES * deps.limits.blob_bytes
    asked, webhook = await heard(request, deps, asker, HordeImageRequest, limit=limit)
    kept = {} if asked.dry_run else await _pictures(deps, asker, asked)

    def planned(met: Circumstances) -> Plan:
        return image_plan(asked, kept, met).told_to(webhook)

    return await answer(deps, asker, agent, planned, dry_run=asked.dry_run)


@router.post(
    "/generate/text/async",
    dependencies=[at_most("ask")],
    status_code=202,
    response_class=Response,
    responses=ANSWERS,
    openapi_extra=body("TextRequest"),
)
async def ask_for_text(
    request: Request, deps: Deps, asker: Requester, agent: ClientAgent
) -> Response:
    """Ask for text; the answer's id is asked after with `generate/text/status`."""
    asked, webhook = await heard(request, deps, asker, TextRequest)

    def planned(met: Circumstances) -> Plan:
        return text_plan(asked, met).told_to(webhook)

    return await answer(deps, asker, agent, planned, dry_run=asked.dry_run)


async def heard(
    request: Request, deps: ApiDeps, asker: Asker, form: type[_Asked], *, limit: int = 0
) -> tuple[_Asked, Webhook | None]:
    """What is asked for, if this asker may and somebody can; and who is told of it. Raises HordeError."""
    asked = await read(request, deps, form, limit=limit)
    _refuse_what_nobody_does(asked)
    must_allow(asker.shared, asked)
    return asked, webhook_of(deps, asked.webhook)


def _refuse_what_nobody_does(
    asked: HordeImageRequest | HordeVideoRequest | TextRequest,
) -> None:
    """Rather than to take it in and forget a part of it."""
    if not asked.prompt.strip():
        raise HordeError(400, "MissingPrompt", "The prompt has no words.")
    if asked.style is not None:
        raise HordeError(404, "StyleNotFound", f"There is no style {asked.style!r} here.")
    if isinstance(asked, HordeImageRequest) and asked.nsfw and asked.censor_nsfw:
        raise wrong_payload({"censor_nsfw": "contradicts nsfw: leave one of them out"})
    if isinstance(asked, HordeImageRequest) and asked.source_mask and not asked.source_image:
        raise HordeError(400, "SourceMaskUnnecessary", "A source_mask needs a source_image.")


def webhook_of(deps: ApiDeps, url: str | None) -> Webhook | None:
    """Called when each of a request's jobs ends, with our event. Raises HordeError."""
    if url is None:
        return None
    if not url.lower().startswith("https://"):
        raise wrong_payload({"webhook": "an address that begins with https:// is needed"})
    try:
        return check_webhook(Webhook(url), deps.reach)
    except BadWebhook as error:
        raise wrong_payload({"webhook": str(error)}) from error


async def _pictures(deps: ApiDeps, asker: Asker, asked: HordeImageRequest) -> dict[str, Any]:
    """Those that the request brings, kept, by field."""
    kept: dict[str, Any] = {}
    for field in ("source_image", "source_mask"):
        given = getattr(asked, field)
        if given is not None:
            kept[field] = await pictures.keep(deps, asker.tenant, given, field)
    if asked.extra_source_images:
        kept["extra_source_images"] = [
            {
                "image": await pictures.keep(deps, asker.tenant, each.image, "extra_source_images"),
                "strength": each.strength,
            }
            for each in asked.extra_source_images
        ]
    return kept


async def answer(
    deps: ApiDeps, asker: Asker, agent: str, planned: _Planned, *, dry_run: bool
) -> Response:
    request = deps.new_id()
    met, payer = await met_by(deps, asker, request, agent)
    plan = planned(met)
    kudos = in_kudos(plan.total)
    if dry_run:
        return told(QuoteView(kudos=kudos))
    await take_in(deps, request, plan.paid_by(payer))
    view = AcceptedView(id=request, kudos=kudos, warnings=plan.warnings or None)
    return told(view, 202, {"Link": stream_link(request)})


async def take_in(deps: ApiDeps, request: str, jobs: Sequence[Submission]) -> None:
    """All or none, under the ids that the request's id leads to."""
    ids = iter(requests.job_ids(request, len(jobs)))
    how = Taking(
        path=(await deps.steering.current()).path(jobs[0].tenant, jobs[0].kind),
        new_id=lambda: next(ids),
        check=check_input,
        admission=deps.admission,
    )
    for submitted in await submit_together(deps.store, deps.blobs, jobs, how):
        deps.on_submitted(submitted)


async def met_by(
    deps: ApiDeps, asker: Asker, request: str, agent: str
) -> tuple[Circumstances, UserId]:
    async with deps.store.begin() as tx:
        user = await user_for(tx, asker.tenant, deps.welcome)
        met = Circumstances(
            caller=asker.caller,
            request=request,
            catalog=await tx.catalog(),
            now=await tx.now(),
            trace=deps.current_traceparent() or received_traceparent(),
            agent=agent,
            unpaid=asker.anonymous or user.id == ANONYMOUS,
        )
    return met, user.id


def stream_link(request: str) -> str:
    """In a header: this protocol's client refuses fields that it does not know."""
    return f'</api/v2/generate/{request}/stream>; rel="stream"'
