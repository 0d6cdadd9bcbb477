"""Schedules, and the row for each time that one has fired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Column,
    Integer,
    Row,
    Select,
    bindparam,
    delete,
    literal,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql import blob_uses
from headrace.adapters.store.sql.expressions import batch, clock
from headrace.adapters.store.sql.schema_around import ACTIVE, BEGINNING, fires, schedules
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name, written
from headrace.contracts.ids import JobId, RunId, ScheduleId, TenantId
from headrace.core.ports.schedules import Fire, Schedule

_columns: Final = (
    *("id", "tenant", "cron", "timezone", "job", "run", "path"),
    *("next_at", "run_next_at", "paused_at"),
)
# `job` cannot be NULL, and builds before 0021 show and run it: to them, a schedule of runs is one of a kind that nobody runs.
_NO_JOB: Final[dict[str, Any]] = {"kind": "(run)", "model": None, "input": {}, "timeout_s": 3600.0}
_new: Final = batch(**{name: schedules.c[name].type for name in _columns})
_insert: Final = (
    insert(schedules)
    .from_select([*_columns, "created_at"], select(*(_new.c[name] for name in _columns), clock()))
    .returning(schedules.c.created_at)
)


async def insert_schedule(session: Session, schedule: Schedule) -> Schedule:
    row = {
        "id": schedule.id,
        "tenant": schedule.tenant,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "job": _NO_JOB if schedule.job is None else schedule.job,
        "run": schedule.run,
        "path": schedule.path,
        **_next(schedule),
        "paused_at": written(schedule.paused_at),
    }
    made = (await session.run_batch(_insert, [row])).scalar_one()
    return replace(schedule, created_at=made)


def _next(schedule: Schedule) -> dict[str, Any]:
    at = written(schedule.next_at)
    begins = schedule.run is not None
    return {"next_at": None if begins else at, "run_next_at": at if begins else None}


_mine: Final = schedules.c.tenant == bindparam("owner", type_=Name)
_it: Final = schedules.c.id == bindparam("schedule", type_=Name)
_find: Final = select(schedules).where(_it).with_for_update()
_find_mine: Final = _find.where(_mine)
_delete: Final = delete(schedules).where(_it, _mine).returning(schedules.c.id)


async def find(session: Session, tenant: TenantId | None, schedule: ScheduleId) -> Schedule | None:
    whose = {} if tenant is None else {"owner": tenant}
    question = _find if tenant is None else _find_mine
    row = (await session.run(question, schedule=schedule, **whose)).one_or_none()
    return None if row is None else _to_schedule(row)


async def remove(session: Session, tenant: TenantId, schedule: ScheduleId) -> bool:
    row = (await session.run(_delete, owner=tenant, schedule=schedule)).one_or_none()
    if row is not None:
        await blob_uses.forget_uses(session, schedule)
    return row is not None


async def page(
    session: Session,
    tenant: TenantId | None,
    before: tuple[datetime, ScheduleId] | None,
    limit: int,
) -> list[Schedule]:
    wanted = select(schedules)
    if tenant is not None:
        wanted = wanted.where(schedules.c.tenant == tenant)
    if before is not None:
        created_at, schedule = before
        older = tuple_(literal(created_at, Instant), literal(schedule, Name))
        wanted = wanted.where(tuple_(schedules.c.created_at, schedules.c.id) < older)
    newest_first = (schedules.c.created_at.desc(), schedules.c.id.desc())
    rows = await session.run(wanted.order_by(*newest_first).limit(limit))
    return [_to_schedule(row) for row in rows]


_moving: Final = ("next_at", "run_next_at", "last_at", "last_error", "paused_at")
_changed: Final = batch(id=Name, **{name: schedules.c[name].type for name in _moving})
_save: Final = (
    update(schedules)
    .where(schedules.c.id == _changed.c.id)
    .values({schedules.c[name]: _changed.c[name] for name in _moving})
)


async def save(session: Session, changed: Sequence[Schedule]) -> None:
    rows = [
        {
            "id": each.id,
            **_next(each),
            "last_at": written(each.last_at),
            "last_error": each.last_error,
            "paused_at": written(each.paused_at),
        }
        for each in changed
    ]
    if rows:
        await session.run_batch(_save, rows)


def _due_at(at: Column[Any], condition: str) -> Select[Any]:
    return (
        select(schedules)
        .where(text(condition), schedules.c.path == bindparam("path", type_=Name), at <= clock())
        .order_by(at)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True)
    )


_due: Final = _due_at(schedules.c.next_at, ACTIVE).where(schedules.c.run.is_(None))
_due_to_begin: Final = _due_at(schedules.c.run_next_at, BEGINNING)


async def due(session: Session, path: str, limit: int) -> list[Schedule]:
    found = [_to_schedule(row) for row in await session.run(_due, path=path, limit=limit)]
    if len(found) < limit:
        more = await session.run(_due_to_begin, path=path, limit=limit - len(found))
        found += [_to_schedule(row) for row in more]
    return found


_fire_columns: Final = ("schedule", "fire_at", "job", "run", "error")
_fired: Final = batch(**{name: fires.c[name].type for name in _fire_columns})
_fire: Final = (
    insert(fires)
    .from_select(
        [*_fire_columns, "fired_at"],
        select(*(_fired.c[name] for name in _fire_columns), clock()).where(true()),
    )
    .on_conflict_do_nothing()
    .returning(fires.c.schedule, fires.c.fire_at)
)
_fires: Final = (
    select(fires)
    .where(fires.c.schedule == bindparam("schedule", type_=Name))
    .order_by(fires.c.fire_at.desc())
    .limit(bindparam("limit", type_=Integer))
)


async def record_fires(session: Session, asked: Sequence[Fire]) -> list[bool]:
    if not asked:
        return []
    rows = [
        {
            "schedule": each.schedule,
            "fire_at": written(each.fire_at),
            "job": each.job,
            "run": each.run,
            "error": each.error,
        }
        for each in asked
    ]
    won = {(row.schedule, row.fire_at) for row in await session.run_batch(_fire, rows)}
    return [(each.schedule, each.fire_at) in won for each in asked]


async def fires_of(session: Session, schedule: ScheduleId, limit: int) -> list[Fire]:
    return [
        Fire(
            schedule=ScheduleId(row.schedule),
            fire_at=row.fire_at,
            job=None if row.job is None else JobId(row.job),
            run=None if row.run is None else RunId(row.run),
            error=row.error,
            fired_at=row.fired_at,
        )
        for row in await session.run(_fires, schedule=schedule, limit=limit)
    ]


def _to_schedule(row: Row[Any]) -> Schedule:
    return Schedule(
        id=ScheduleId(row.id),
        tenant=TenantId(row.tenant),
        cron=row.cron,
        timezone=row.timezone,
        job=row.job if row.run is None else None,
        run=row.run,
        path=row.path,
        next_at=row.next_at if row.run is None else row.run_next_at,
        last_at=row.last_at,
        last_error=row.last_error,
        paused_at=row.paused_at,
        created_at=row.created_at,
    )
