"""`/runs`: pipelines run as one, stage after stage, and `/pipelines`: what can be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from headrace.api.addresses import uuid_or_none
from headrace.api.arguments import IdempotencyHeader
from headrace.api.auth import Caller
from headrace.api.bodies import read_json, wrong_body
from headrace.api.deps import ApiDeps, Deps, Owner, Submitter, Tenant
from headrace.api.dialects.native import documents
from headrace.api.dialects.native import translate_runs as translate
from headrace.api.dialects.native.errors import wrong_parameter
from headrace.api.dialects.native.repeating import answer, answered, question_of
from headrace.api.dialects.native.schemas_runs import (
    AdditionRequest,
    PipelineView,
    RunRequest,
    RunsPage,
    RunView,
)
from headrace.api.dialects.native.translate import read_cursor
from headrace.api.tracing import received_traceparent
from headrace.contracts.ids import JobId, RunId, TenantId
from headrace.core.errors import RunNotFound
from headrace.core.inputs import check_input
from headrace.core.pipeline import Plain
from headrace.core.ports.keys import Scope
from headrace.core.ports.store import Query as JobQuery
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer
from headrace.core.run import Piece, PieceState, Run
from headrace.core.usecases import runs as use

_REFINEMENT: Final = use.Addition(
    name="refine",
    kind="upscale",
    gives={"image": Plain.BLOB, "width": Plain.NUMBER, "height": Plain.NUMBER},
)
_CAPTION: Final = use.Addition(name="caption", kind="caption", gives={"caption": Plain.TEXT})


async def _run_id(run: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> RunId:
    found = uuid_or_none(run)
    if found is None:
        raise RunNotFound(run[:64])
    return RunId(found)


RunInPath = Annotated[RunId, Depends(_run_id)]
_VIEW: Final = {"model": RunView, "headers": documents.REPLAYED_HEADER}
router = APIRouter(tags=["runs"])


@router.get("/pipelines", responses={200: {"model": list[PipelineView]}, **documents.problems()})
async def list_pipelines(deps: Deps, tenant: Tenant) -> list[PipelineView]:
    """What can be run, what each takes, and why one cannot be run now."""
    known = deps.pipelines.values()
    async with deps.store.begin() as tx:
        catalog = await tx.catalog()
        return [await translate.pipeline_view(tx, tenant, each, catalog) for each in known]


@router.post(
    "/runs",
    status_code=202,
    response_class=Response,
    responses={
        202: {**_VIEW, "description": "Begun and kept."},
        **documents.problems(408, 413, 415, 422, 429),
    },
    openapi_extra=documents.json_body("RunRequest"),
)
async def begin_run(
    request: Request, deps: Deps, caller: Submitter, key: IdempotencyHeader = None
) -> Response:
    """Run a pipeline: each stage's output is the next one's input."""
    body = await read_json(request, deps.limits)
    try:
        asked = RunRequest.model_validate_json(body)
    except ValidationError as error:
        raise wrong_body(error) from error
    tenant = caller.tenant
    may_begin(deps, caller, asked.pipeline)
    wanted = use.RunRequest(
        tenant=tenant,
        pipeline=asked.pipeline,
        input=asked.input,
        priority=asked.priority,
        labels=asked.labels,
        api_key=caller.api_key,
        trace=deps.current_traceparent() or received_traceparent(),
        deadline_s=asked.deadline_s,
    )
    await deps.admission.look(deps.store, tenant)
    current = await deps.steering.current()
    how = use.Beginning(
        pipelines=deps.pipelines,
        path=partial(current.path, tenant),
        new_id=deps.new_id,
        check=check_input,
    )

    async def do(tx: Transaction) -> Answer:
        return await admitted(deps, tx, await use.begin_run(tx, wanted, how))

    return await answered(deps, question_of(request, tenant, key, body), do)


@router.get(
    "/runs",
    response_class=Response,
    responses={200: {"model": RunsPage}, **documents.problems(422)},
)
async def list_runs(
    deps: Deps,
    tenant: Tenant,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Runs, newest first."""
    try:
        before = None if cursor is None else read_cursor(cursor)
    except ValueError as error:
        raise wrong_parameter("cursor", "this is no cursor of ours") from error
    older = None if before is None else (before[0], RunId(before[1]))
    async with deps.store.begin() as tx:
        found = await tx.page_runs(tenant, before=older, limit=limit + 1)
    return _json(translate.page(found, limit=limit))


@router.get(
    "/runs/{run}",
    response_class=Response,
    responses={200: {"model": RunView}, **documents.problems(404)},
)
async def get_run(deps: Deps, tenant: Tenant, run: RunInPath) -> Response:
    """One run: its stages, how far each is, and what it gave."""
    async with deps.store.begin() as tx:
        return _json(await look(tx, await use.find_run(tx, tenant, run)))


@router.post(
    "/runs/{run}/cancel",
    status_code=202,
    response_class=Response,
    responses={
        200: {**_VIEW, "description": "It is over already."},
        202: {**_VIEW, "description": "It begins nothing more, and its jobs are being stopped."},
        **documents.problems(404, 422),
    },
)
async def cancel_run(
    request: Request, deps: Deps, tenant: Owner, run: RunInPath, key: IdempotencyHeader = None
) -> Response:
    """End it as a whole. Asking again changes nothing."""

    async def do(tx: Transaction) -> Answer:
        found = await use.cancel_run(tx, tenant, run)
        return answer(await look(tx, found), 200 if found.over else 202)

    return await answered(deps, question_of(request, tenant, key), do)


@router.post(
    "/runs/{run}/stages/{stage}/retry",
    status_code=202,
    response_class=Response,
    responses={
        202: {**_VIEW, "description": "It goes on; what went well stays."},
        **documents.problems(404, 409, 422, 429),
    },
)
async def retry_stage(  # what is retried, and by whom, each by its name
    request: Request,
    deps: Deps,
    tenant: Owner,
    run: RunInPath,
    stage: Annotated[str, Path(max_length=64)],
    key: IdempotencyHeader = None,
) -> Response:
    """Do again what went wrong of one stage, and what was made of it."""
    await deps.admission.look(deps.store, tenant)

    async def do(tx: Transaction) -> Answer:
        return await admitted(deps, tx, await use.retry_stage(tx, tenant, run, stage))

    return await answered(deps, question_of(request, tenant, key), do)


_ADDED: Final = {
    202: {**_VIEW, "description": "It goes on, with one stage more: the last of them."},
    **documents.problems(404, 408, 409, 413, 415, 422, 429),
}


@router.post(
    "/runs/{run}/refinements",
    status_code=202,
    response_class=Response,
    responses=_ADDED,
    openapi_extra=documents.json_body("AdditionRequest"),
)
async def add_refinement(
    request: Request, deps: Deps, caller: Submitter, run: RunInPath, key: IdempotencyHeader = None
) -> Response:
    """Make a picture of a run that succeeded larger."""
    return await _add(request, deps, caller, run, key, _REFINEMENT)


@router.post(
    "/runs/{run}/captions",
    status_code=202,
    response_class=Response,
    responses=_ADDED,
    openapi_extra=documents.json_body("AdditionRequest"),
)
async def add_caption(
    request: Request, deps: Deps, caller: Submitter, run: RunInPath, key: IdempotencyHeader = None
) -> Response:
    """Say what is to be seen on a picture of a run that succeeded."""
    return await _add(request, deps, caller, run, key, _CAPTION)


async def _add(  # what is added, to what and by whom
    request: Request,
    deps: ApiDeps,
    caller: Caller,
    run: RunId,
    key: str | None,
    work: use.Addition,
) -> Response:
    body = await read_json(request, deps.limits)
    try:
        asked = AdditionRequest.model_validate_json(body)
    except ValidationError as error:
        raise wrong_body(error) from error
    await deps.admission.look(deps.store, caller.tenant)
    wanted = work.asked(model=asked.model, of=asked.stage, given=asked.input)

    async def do(tx: Transaction) -> Answer:
        found, _ = await use.add_work(tx, caller.tenant, run, wanted, check=check_input)
        return await admitted(deps, tx, found)

    return await answered(deps, question_of(request, caller.tenant, key, body), do)


async def admitted(deps: ApiDeps, tx: Transaction, run: Run) -> Answer:
    """What begins now counts as jobs that are submitted; raising undoes it. Later stages are in already."""
    pieces = await tx.pieces(run.id)
    begun = sum(piece.state is PieceState.RUNNING for piece in pieces)
    if begun:
        deps.admission.refuse_if_full(run.tenant, more=begun - 1, more_in_all=begun - 1)
    for _ in range(begun):
        deps.admission.count(run.tenant)
    return answer(translate.run_view(run, pieces, {}), 202)


def may_begin(deps: ApiDeps, caller: Caller, pipeline: str) -> None:
    """Raises Refused where it changes models, and the key is not for that."""
    found = deps.pipelines.get(pipeline)
    if found is not None and found.changes_models:
        caller.must_have(Scope.MODELS)


async def look(tx: Transaction, run: Run) -> RunView:
    pieces = await tx.pieces(run.id)
    return translate.run_view(run, pieces, await _progress(tx, run.tenant, pieces))


async def _progress(
    tx: Transaction, tenant: TenantId, pieces: Sequence[Piece]
) -> Mapping[JobId, float | None]:
    ids = [piece.job for piece in pieces if piece.state is PieceState.RUNNING and piece.job]
    if not ids:
        return {}
    return {
        job.id: job.progress for job in await tx.page(tenant, JobQuery(ids=ids, limit=len(ids)))
    }


def _json(view: BaseModel) -> Response:
    return Response(view.model_dump_json(), media_type="application/json")
