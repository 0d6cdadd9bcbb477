"""`/admin/schedules`: everybody's schedules, for operators. What changes one is audited."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from headrace.api.arguments import IdempotencyHeader
from headrace.api.bodies import read_json, wrong_body
from headrace.api.deps import Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native import translate_schedules as told
from headrace.api.dialects.native.repeating import (
    NOTHING,
    OPERATORS,
    answer,
    answered,
    question_of,
)
from headrace.api.dialects.native.schedules import (
    FIRES_SHOWN,
    ScheduleInPath,
    makers_of,
    older_than,
    ran_now,
)
from headrace.api.dialects.native.schemas import JobView
from headrace.api.dialects.native.schemas_runs import RunView
from headrace.api.dialects.native.schemas_schedules import (
    AnybodysScheduleDetail,
    AnybodysScheduleRequest,
    AnybodysSchedulesPage,
    AnybodysScheduleView,
)
from headrace.api.operators import Operator, Reader
from headrace.contracts.ids import TenantId
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.schedules import Schedule
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import Answer
from headrace.core.usecases import schedules as use

_VIEW = {"model": AnybodysScheduleView, "headers": documents.REPLAYED_HEADER}
router = APIRouter(prefix="/admin/schedules", tags=["admin"])


@router.get(
    "",
    response_class=Response,
    responses={200: {"model": AnybodysSchedulesPage}, **documents.problems(403, 404, 422)},
)
async def list_anybodys_schedules(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    tenant: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Schedules of all tenants or one, newest first."""
    before, owner = older_than(cursor), None if tenant is None else TenantId(tenant)
    async with deps.store.begin() as tx:
        found = await tx.schedules(owner, before=before, limit=limit + 1)
    views = [told.anybodys(each) for each in found[:limit]]
    return _json(AnybodysSchedulesPage(schedules=views, next=told.next_of(found, limit)))


@router.post(
    "",
    status_code=201,
    response_class=Response,
    responses={
        201: {**_VIEW, "description": "Kept; it fires at `next_at`."},
        **documents.problems(403, 404, 408, 413, 415, 422),
    },
    openapi_extra=documents.json_body("AnybodysScheduleRequest"),
)
async def create_anybodys_schedule(
    request: Request, deps: Deps, who: Operator, key: IdempotencyHeader = None
) -> Response:
    """Make a tenant's schedule. Audited."""
    body = await read_json(request, deps.limits)
    try:
        asked = AnybodysScheduleRequest.model_validate_json(body)
    except ValidationError as error:
        raise wrong_body(error) from error
    wanted, makers = told.recurrence(asked, TenantId(asked.tenant)), await makers_of(deps)

    async def do(tx: Transaction) -> Answer:
        made = await use.create_schedule(tx, wanted, makers)
        await tx.audit([_deed(who, "create", made)])
        return answer(told.anybodys(made), 201)

    with told.pointing_into(asked):
        return await answered(deps, question_of(request, OPERATORS, key, body), do)


@router.get(
    "/{schedule}",
    response_class=Response,
    responses={200: {"model": AnybodysScheduleDetail}, **documents.problems(403, 404, 422)},
)
async def get_anybodys_schedule(
    deps: Deps,
    who: Reader,  # noqa: ARG001  # the key is needed
    schedule: ScheduleInPath,
) -> Response:
    """One schedule, and the latest times it fired."""
    async with deps.store.begin() as tx:
        found = await use.find_schedule(tx, None, schedule)
        fires = await tx.fires(schedule, limit=FIRES_SHOWN)
    return _json(told.anybodys_detail(found, fires))


@router.post(
    "/{schedule}/pause",
    response_class=Response,
    responses={200: _VIEW, **documents.problems(403, 404, 422)},
)
async def pause_anybodys_schedule(
    request: Request,
    deps: Deps,
    who: Operator,
    schedule: ScheduleInPath,
    key: IdempotencyHeader = None,
) -> Response:
    """Make nothing more until it is resumed. Asking again changes nothing. Audited."""

    async def do(tx: Transaction) -> Answer:
        found = await use.pause_schedule(tx, None, schedule)
        await tx.audit([_deed(who, "pause", found)])
        return answer(told.anybodys(found))

    return await answered(deps, question_of(request, OPERATORS, key), do)


@router.post(
    "/{schedule}/resume",
    response_class=Response,
    responses={200: _VIEW, **documents.problems(403, 404, 422)},
)
async def resume_anybodys_schedule(
    request: Request,
    deps: Deps,
    who: Operator,
    schedule: ScheduleInPath,
    key: IdempotencyHeader = None,
) -> Response:
    """Go on from now; what would have fired meanwhile is not made up for. Audited."""

    async def do(tx: Transaction) -> Answer:
        found = await use.resume_schedule(tx, None, schedule)
        await tx.audit([_deed(who, "resume", found)])
        return answer(told.anybodys(found))

    return await answered(deps, question_of(request, OPERATORS, key), do)


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
        **documents.problems(403, 404, 422, 429),
    },
)
async def run_anybodys_schedule(
    request: Request,
    deps: Deps,
    who: Operator,
    schedule: ScheduleInPath,
    key: IdempotencyHeader = None,
) -> Response:
    """Make one job, or begin one run, of its tenant, beside those of its times. Audited."""
    async with deps.store.begin() as tx:
        tenant = (await use.find_schedule(tx, None, schedule)).tenant
    await deps.admission.look(deps.store, tenant)
    makers = await makers_of(deps)

    async def do(tx: Transaction) -> Answer:
        made = await ran_now(deps, tx, (tenant, schedule), makers, None)
        await tx.audit(
            [Deed(who, "schedule.run-now", schedule, {"tenant": tenant, "made": made.about})]
        )
        return made

    return await answered(deps, question_of(request, OPERATORS, key), do)


@router.delete(
    "/{schedule}",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": "Gone; what it made stays.", "headers": documents.REPLAYED_HEADER},
        **documents.problems(403, 404, 422),
    },
)
async def delete_anybodys_schedule(
    request: Request,
    deps: Deps,
    who: Operator,
    schedule: ScheduleInPath,
    key: IdempotencyHeader = None,
) -> Response:
    """Delete a schedule. What it made stays. Audited."""

    async def do(tx: Transaction) -> Answer:
        found = await use.find_schedule(tx, None, schedule)
        await use.delete_schedule(tx, found.tenant, schedule)
        await tx.audit([_deed(who, "delete", found)])
        return NOTHING

    return await answered(deps, question_of(request, OPERATORS, key), do)


def _deed(who: str, verb: str, schedule: Schedule) -> Deed:
    detail = {"tenant": schedule.tenant, "cron": schedule.cron, "timezone": schedule.timezone}
    return Deed(who, f"schedule.{verb}", schedule.id, detail)


def _json(view: BaseModel) -> Response:
    return Response(view.model_dump_json(), media_type="application/json")
