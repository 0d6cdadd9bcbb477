"""`/schedules`: jobs and runs that recur, by a cron expression in a time zone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from headrace.api.addresses import uuid_or_none
from headrace.api.arguments import IdempotencyHeader
from headrace.api.bodies import read_json, wrong_body
from headrace.api.deps import ApiDeps, Deps, Owner, Submitter, Tenant
from headrace.api.dialects.native import documents
from headrace.api.dialects.native import translate_schedules as translate
from headrace.api.dialects.native.errors import wrong_parameter
from headrace.api.dialects.native.repeating import NOTHING, answer, answered, question_of
from headrace.api.dialects.native.runs import admitted, may_begin
from headrace.api.dialects.native.schemas import JobView
from headrace.api.dialects.native.schemas_runs import RunView
from headrace.api.dialects.native.schemas_schedules import (
    ScheduleDetail,
    ScheduleRequest,
    SchedulesPage,
    ScheduleView,
)
from headrace.api.dialects.native.translate import job_view, read_cursor
from headrace.api.tracing import received_traceparent
from headrace.contracts.ids import KeyId, ScheduleId, TenantId
from headrace.core.errors import ScheduleNotFound
from headrace.core.inputs import check_input
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer
from headrace.core.run import Run
from headrace.core.usecases import schedules as use

FIRES_SHOWN = 20


async def _schedule_id(
    schedule: Annotated[str, Path(json_schema_extra={"format": "uuid"})],
) -> ScheduleId:
    found = uuid_or_none(schedule)
    if found is None:
        raise ScheduleNotFound(schedule[:64])
    return ScheduleId(found)


ScheduleInPath = Annotated[ScheduleId, Depends(_schedule_id)]
_VIEW = {"model": ScheduleView, "headers": documents.REPLAYED_HEADER}
router = APIRouter(prefix="/schedules", tags=["schedules"])


@router.post(
    "",
    status_code=201,
    response_class=Response,
    responses={
        201: {**_VIEW, "description": "Kept; it fires at `next_at`."},
        **documents.problems(408, 413, 415, 422),
    },
    openapi_extra=documents.json_body("ScheduleRequest"),
)
async def create_schedule(
    request: Request, deps: Deps, caller: Submitter, key: IdempotencyHeader = None
) -> Response:
    """Make a job, or begin a run, whenever a cron expression says so, in a time zone."""
    body = await read_json(request, deps.limits)
    try:
        asked = ScheduleRequest.model_validate_json(body)
    except ValidationError as error:
        raise wrong_body(error) from error
    tenant = caller.tenant
    if asked.run is not None:
        may_begin(deps, caller, asked.run.pipeline)
    wanted, makers = translate.recurrence(asked, tenant), await makers_of(deps)

    async def do(tx: Transaction) -> Answer:
        return answer(translate.view(await use.create_schedule(tx, wanted, makers)), 201)

    with translate.pointing_into(asked):
        return await answered(deps, question_of(request, tenant, key, body), do)


@router.get(
    "",
    response_class=Response,
    responses={200: {"model": SchedulesPage}, **documents.problems(422)},
)
async def list_schedules(
    deps: Deps,
    tenant: Tenant,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Schedules, newest first."""
    before = older_than(cursor)
    async with deps.store.begin() as tx:
        found = await tx.schedules(tenant, before=before, limit=limit + 1)
    views = [translate.view(each) for each in found[:limit]]
    page = SchedulesPage(schedules=views, next=translate.next_of(found, limit))
    return Response(page.model_dump_json(), media_type="application/json")


@router.get(
    "/{schedule}",
    response_class=Response,
    responses={200: {"model": ScheduleDetail}, **documents.problems(404)},
)
async def get_schedule(deps: Deps, tenant: Tenant, schedule: ScheduleInPath) -> Response:
    """One schedule, and the latest times it fired."""
    async with deps.store.begin() as tx:
        found = await use.find_schedule(tx, tenant, schedule)
        fires = await tx.fires(schedule, limit=FIRES_SHOWN)
    view = translate.detail(found, fires)
    return Response(view.model_dump_json(), media_type="application/json")


@router.post(
    "/{schedule}/pause",
    response_class=Response,
    responses={200: _VIEW, **documents.problems(404, 422)},
)
async def pause_schedule(
    request: Request,
    deps: Deps,
    tenant: Owner,
    schedule: ScheduleInPath,
    key: IdempotencyHeader = None,
) -> Response:
    """Make nothing more until it is resumed. Asking again changes nothing."""

    async def do(tx: Transaction) -> Answer:
        return answer(translate.view(await use.pause_schedule(tx, tenant, schedule)))

    return await answered(deps, question_of(request, tenant, key), do)


@router.post(
    "/{schedule}/resume",
    response_class=Response,
    responses={200: _VIEW, **documents.problems(404, 422)},
)
async def resume_schedule(
    request: Request,
    deps: Deps,
    tenant: Owner,
    schedule: ScheduleInPath,
    key: IdempotencyHeader = None,
) -> Response:
    """Go on from now; what would have fired meanwhile is not made up for."""

    async def do(tx: Transaction) -> Answer:
        return answer(translate.view(await use.resume_schedule(tx, tenant, schedule)))

    return await answered(deps, question_of(request, tenant, key), do)


@router.post(
    "/{schedule}/run-now",
    status_code=202,
    response_class=Response,
    responses={
        202: {
            "model": JobView | RunView,
            "description": "The job it made, or the run that it began.",
            "headers": documents.REPLAYED_HEADER,
        },
        **documents.problems(404, 422, 429),
    },
)
async def run_schedule(
    request: Request,
    deps: Deps,
    caller: Submitter,
    schedule: ScheduleInPath,
    key: IdempotencyHeader = None,
) -> Response:
    """Make one job, or begin one run, now, beside those of its times."""
    tenant = caller.tenant
    await deps.admission.look(deps.store, tenant)
    makers = await makers_of(deps)

    async def do(tx: Transaction) -> Answer:
        return await ran_now(deps, tx, (tenant, schedule), makers, caller.api_key)

    return await answered(deps, question_of(request, tenant, key), do)


@router.delete(
    "/{schedule}",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": "Gone; what it made stays.", "headers": documents.REPLAYED_HEADER},
        **documents.problems(404, 422),
    },
)
async def delete_schedule(
    request: Request,
    deps: Deps,
    tenant: Owner,
    schedule: ScheduleInPath,
    key: IdempotencyHeader = None,
) -> Response:
    """Delete a schedule. The jobs and runs it made stay."""

    async def do(tx: Transaction) -> Answer:
        await use.delete_schedule(tx, tenant, schedule)
        return NOTHING

    return await answered(deps, question_of(request, tenant, key), do)


async def makers_of(deps: ApiDeps) -> use.Makers:
    """Where what is made runs, is decided by the rollout as it is now."""
    rollout = await deps.steering.current()
    return use.Makers(deps.new_id, check_input, rollout.path, pipelines=deps.pipelines)


async def ran_now(
    deps: ApiDeps,
    tx: Transaction,
    which: tuple[TenantId, ScheduleId],
    makers: use.Makers,
    api_key: KeyId | None,
) -> Answer:
    """Within the caps of its tenant, that have been looked at; raising undoes it."""
    tenant, schedule = which
    deps.admission.refuse_if_full(tenant)
    trace = deps.current_traceparent() or received_traceparent()
    made = await use.run_now(tx, tenant, schedule, makers=makers, trace=trace, api_key=api_key)
    if isinstance(made, Run):
        return await admitted(deps, tx, made)
    deps.admission.count(tenant)
    return answer(job_view(made), 202)


def older_than(cursor: str | None) -> tuple[datetime, ScheduleId] | None:
    try:
        before = None if cursor is None else read_cursor(cursor)
    except ValueError as error:
        raise wrong_parameter("cursor", "this is no cursor of ours") from error
    return None if before is None else (before[0], ScheduleId(before[1]))
