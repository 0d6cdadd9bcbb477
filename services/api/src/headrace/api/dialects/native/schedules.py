"""`/schedules`: jobs and runs that recur, by a cron expression in a time zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from headrace.api.addresses import uuid_or_none
from headrace.api.arguments import IdempotencyHeader
from headrace.api.bodies import read_json, wrong_body
from headrace.api.deps import ApiDeps, Deps, Owner, Submitter, Tenant
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.errors import problem_for, wrong_parameter
from headrace.api.dialects.native.repeating import NOTHING, answer, answered, question_of
from headrace.api.dialects.native.runs import admitted
from headrace.api.dialects.native.schemas import JobView
from headrace.api.dialects.native.schemas_runs import RunView
from headrace.api.dialects.native.schemas_schedules import (
    FireView,
    ScheduleDetail,
    ScheduledJob,
    ScheduleRequest,
    SchedulesPage,
    ScheduleView,
)
from headrace.api.dialects.native.translate import job_view, read_cursor, write_cursor
from headrace.api.problems import Refused
from headrace.api.tracing import received_traceparent
from headrace.contracts.ids import ScheduleId
from headrace.core.errors import (
    InvalidInput,
    ScheduleNotFound,
    UnknownModel,
    UnknownPipeline,
)
from headrace.core.inputs import check_input
from headrace.core.ports.schedules import Fire, Schedule
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer
from headrace.core.rollout import Rollout
from headrace.core.run import Run
from headrace.core.usecases import schedules as use

_FIRES_SHOWN = 20


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
    request: Request, deps: Deps, tenant: Owner, key: IdempotencyHeader = None
) -> Response:
    """Make a job, or begin a run, whenever a cron expression says so, in a time zone."""
    body = await read_json(request, deps.limits)
    try:
        asked = ScheduleRequest.model_validate_json(body)
    except ValidationError as error:
        raise wrong_body(error) from error
    wanted = use.Recurrence(
        tenant=tenant,
        cron=asked.cron,
        timezone=asked.timezone,
        job=None if asked.job is None else _template(asked.job),
        run=None if asked.run is None else asked.run.model_dump(),
    )
    rollout = await deps.steering.current()

    async def do(tx: Transaction) -> Answer:
        makers = _makers(deps, rollout)
        made = await use.create_schedule(tx, wanted, choose=rollout.path, makers=makers)
        return answer(_view(made), 201)

    try:
        return await answered(deps, question_of(request, tenant, key, body), do)
    except (InvalidInput, UnknownModel, UnknownPipeline) as error:
        problem, part = problem_for(error), "/job" if asked.run is None else "/run"
        where = {"pointer": f"{part}{problem.fields['pointer']}"}
        raise Refused(replace(problem, fields={**problem.fields, **where})) from error


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
    try:
        before = None if cursor is None else read_cursor(cursor)
    except ValueError as error:
        raise wrong_parameter("cursor", "this is no cursor of ours") from error
    older = None if before is None else (before[0], ScheduleId(before[1]))
    async with deps.store.begin() as tx:
        found = await tx.schedules(tenant, before=older, limit=limit + 1)
    shown = found[:limit]
    more = write_cursor(shown[-1].created_at, shown[-1].id) if len(found) > limit else None
    page = SchedulesPage(schedules=[_view(each) for each in shown], next=more)
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
        fires = await tx.fires(schedule, limit=_FIRES_SHOWN)
    view = ScheduleDetail(**_view(found).model_dump(), fires=_fires(fires))
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
        return answer(_view(await use.pause_schedule(tx, tenant, schedule)))

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
        return answer(_view(await use.resume_schedule(tx, tenant, schedule)))

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
    tenant, trace = caller.tenant, deps.current_traceparent() or received_traceparent()
    await deps.admission.look(deps.store, tenant)
    makers, api_key = _makers(deps, await deps.steering.current()), caller.api_key

    async def do(tx: Transaction) -> Answer:
        deps.admission.refuse_if_full(tenant)
        made = await use.run_now(tx, tenant, schedule, makers=makers, trace=trace, api_key=api_key)
        if isinstance(made, Run):
            return await admitted(deps, tx, made)
        deps.admission.count(tenant)
        return answer(job_view(made), 202)

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


def _makers(deps: ApiDeps, rollout: Rollout) -> use.Makers:
    return use.Makers(deps.new_id, check_input, rollout.path, pipelines=deps.pipelines)


def _template(asked: ScheduledJob) -> dict[str, object]:
    fields = asked.model_dump()
    return {
        **{name: fields[name] for name in fields if name != "timeout"},
        "timeout_s": asked.timeout,
    }


def _view(schedule: Schedule) -> ScheduleView:
    return ScheduleView(
        id=schedule.id,
        cron=schedule.cron,
        timezone=schedule.timezone,
        job=None if schedule.job is None else _job(schedule.job),
        run=schedule.run,
        next_at=schedule.next_at,
        last_at=schedule.last_at,
        last_error=schedule.last_error,
        paused_at=schedule.paused_at,
        created_at=schedule.created_at,
    )


def _job(template: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in template.items() if name != "timeout_s"}
    return {**shown, "timeout": template["timeout_s"]}


def _fires(fires: Sequence[Fire]) -> list[FireView]:
    return [
        FireView(
            fire_at=each.fire_at,
            fired_at=each.fired_at,
            job=each.job,
            run=each.run,
            error=each.error,
        )
        for each in fires
    ]
