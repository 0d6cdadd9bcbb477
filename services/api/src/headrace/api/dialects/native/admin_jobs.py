"""`/admin/jobs`: anybody's jobs for an operator, to find, to read, and to act on, one or a thousand."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from headrace.api.arguments import IdempotencyHeader
from headrace.api.bodies import read_json, wrong_body
from headrace.api.deps import ApiDeps, Deps
from headrace.api.dialects.native import documents, translate
from headrace.api.dialects.native import translate_admin as told
from headrace.api.dialects.native.arguments import JobInPath
from headrace.api.dialects.native.errors import wrong_parameter
from headrace.api.dialects.native.repeating import OPERATORS, answer, answered, question_of
from headrace.api.dialects.native.schemas import TimelineView
from headrace.api.dialects.native.schemas_admin import (
    AnybodysJobsPage,
    AnybodysJobView,
    JobsQuery,
    ManyRequest,
    ManyView,
    MovedView,
    MoveRequest,
)
from headrace.api.dialects.native.schemas_explain import ExplainView
from headrace.api.dialects.native.translate_explain import explain_view
from headrace.api.operators import Operator, Reader
from headrace.api.problems import invalid
from headrace.api.tracing import received_traceparent
from headrace.contracts.ids import JobId
from headrace.core.errors import JobNotFound
from headrace.core.job import Job
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer
from headrace.core.usecases import many
from headrace.core.usecases.explain import facts_about
from headrace.core.usecases.move import move_to, set_priority

_Asked = TypeVar("_Asked", bound=BaseModel)
_CHANGES = documents.problems(403, 404, 408, 413, 415, 422)
router = APIRouter(prefix="/admin/jobs", tags=["admin"])


@router.get(
    "",
    response_class=Response,
    responses={200: {"model": AnybodysJobsPage}, **documents.problems(403, 404, 422)},
)
async def search_jobs(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    asked: Annotated[JobsQuery, Query()],
) -> Response:
    """Jobs of all tenants, newest first. One request looks at 20,000 at most; `next` goes on from there."""
    try:
        wanted = told.search(asked, limit=asked.limit, cursor=asked.cursor)
    except ValueError as error:
        raise wrong_parameter("cursor", "this is no cursor of ours") from error
    async with deps.store.begin() as tx:
        found = await tx.search(wanted)
    return _json(told.anybodys_page(found))


@router.get(
    "/{job}",
    response_class=Response,
    responses={200: {"model": AnybodysJobView}, **documents.problems(403, 404, 422)},
)
async def get_anybodys_job(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    job: JobInPath,
) -> Response:
    """The whole record, whoever's."""
    return _json(told.anybodys_job_view(await _anybodys(deps, job)))


@router.get(
    "/{job}/timeline",
    response_class=Response,
    responses={200: {"model": TimelineView}, **documents.problems(403, 404, 422)},
)
async def get_anybodys_timeline(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    job: JobInPath,
) -> Response:
    """Every attempt, and where its time went."""
    found = await _anybodys(deps, job)
    async with deps.store.begin() as tx:
        attempts = await tx.attempts(job)
    return _json(translate.timeline_view(found, attempts, traces=deps.trace_url))


@router.get(
    "/{job}/explain",
    response_class=Response,
    responses={200: {"model": ExplainView}, **documents.problems(403, 404, 422)},
)
async def explain_anybodys_job(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    job: JobInPath,
) -> Response:
    """Why it waits, as its tenant would be told."""
    found = await _anybodys(deps, job)
    return _json(explain_view(await facts_about(deps.store, found.tenant, job, everybodys=True)))


@router.post(
    "/cancel",
    response_class=Response,
    responses={200: {"model": ManyView, "headers": documents.REPLAYED_HEADER}, **_CHANGES},
    openapi_extra=documents.json_body("ManyRequest"),
)
async def cancel_jobs(
    request: Request, deps: Deps, who: Operator, key: IdempotencyHeader = None
) -> Response:
    """Ask these to end, or by a filter those that have not; what cannot be asked is told one by one."""
    asked, body = await _read(request, deps, ManyRequest)
    wish = _wish(asked, who)

    async def do(tx: Transaction) -> Answer:
        return answer(told.many_view(await many.cancel_many(tx, wish)))

    return await answered(deps, question_of(request, OPERATORS, key, body), do)


@router.post(
    "/retry",
    response_class=Response,
    responses={200: {"model": ManyView, "headers": documents.REPLAYED_HEADER}, **_CHANGES},
    openapi_extra=documents.json_body("ManyRequest"),
)
async def retry_jobs(
    request: Request, deps: Deps, who: Operator, key: IdempotencyHeader = None
) -> Response:
    """Try these again as new jobs, or by a filter those that failed, died or were cancelled."""
    asked, body = await _read(request, deps, ManyRequest)
    wish, trace = _wish(asked, who), deps.current_traceparent() or received_traceparent()
    choose = (await deps.steering.current()).path

    async def do(tx: Transaction) -> Answer:
        done = await many.retry_many(
            tx, wish, admission=deps.admission, new_id=deps.new_id, trace=trace, choose=choose
        )
        return answer(told.many_view(done))

    return await answered(deps, question_of(request, OPERATORS, key, body), do)


@router.post(
    "/{job}/move",
    response_class=Response,
    responses={
        200: {"model": MovedView, "headers": documents.REPLAYED_HEADER},
        **documents.problems(403, 404, 408, 409, 413, 415, 422),
    },
    openapi_extra=documents.json_body("MoveRequest"),
)
async def move_job(
    request: Request, deps: Deps, who: Operator, job: JobInPath, key: IdempotencyHeader = None
) -> Response:
    """Another place among what its tenant has waiting in its lane: until it starts, or by priority."""
    asked, body = await _read(request, deps, MoveRequest)

    async def do(tx: Transaction) -> Answer:
        if asked.to is not None:
            return answer(told.moved_view(*await move_to(tx, job, asked.to, who=who)))
        priority = asked.priority or 0
        return answer(told.moved_view(*await set_priority(tx, job, priority, who=who)))

    return await answered(deps, question_of(request, OPERATORS, key, body), do)


async def _anybodys(deps: ApiDeps, job: JobId) -> Job:
    async with deps.store.begin() as tx:
        found = await tx.anybodys(job)
    if found is None:
        raise JobNotFound(job)
    return found


def _wish(asked: ManyRequest, who: str) -> many.Wish:
    try:
        return told.wish(asked, who=who)
    except ValueError as error:
        raise invalid([{"pointer": "/cursor", "detail": "this is no cursor of ours"}]) from error


async def _read(request: Request, deps: ApiDeps, form: type[_Asked]) -> tuple[_Asked, bytes]:
    body = await read_json(request, deps.limits)
    try:
        return form.model_validate_json(body), body
    except ValidationError as error:
        raise wrong_body(error) from error


def _json(view: BaseModel) -> Response:
    return Response(view.model_dump_json(), media_type="application/json")
