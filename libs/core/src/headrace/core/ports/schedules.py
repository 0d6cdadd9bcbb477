"""Schedules: jobs and runs that recur, and the record of each time they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from headrace.contracts.ids import JobId, RunId, ScheduleId, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What recurs is a job or a run: one of the two, in the words of `core.usecases.schedules`.

    Times are the store's clock; `next_at` is None once it will never fire again.
    """

    id: ScheduleId
    tenant: TenantId
    cron: str
    timezone: str
    path: str
    job: dict[str, Any] | None = None  # what each firing submits
    run: dict[str, Any] | None = None  # what each firing begins
    next_at: datetime | None = None
    last_at: datetime | None = None
    last_error: str | None = None
    paused_at: datetime | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """One time that a schedule fired for. `error` says why nothing came of it."""

    schedule: ScheduleId
    fire_at: datetime  # the time it was due
    job: JobId | None = None
    run: RunId | None = None
    error: str | None = None
    fired_at: datetime | None = None


class Schedules(Protocol):
    """The part of a transaction that keeps schedules."""

    async def insert_schedule(self, schedule: Schedule) -> Schedule: ...

    async def schedule(self, tenant: TenantId | None, schedule: ScheduleId) -> Schedule | None:
        """For changing. `tenant` None: whoever's."""

    async def schedules(
        self, tenant: TenantId | None, *, before: tuple[datetime, ScheduleId] | None, limit: int
    ) -> list[Schedule]:
        """Newest first. `tenant` None: of all."""

    async def save_schedules(self, changed: Sequence[Schedule]) -> None:
        """When they fire next and last, and whether they are paused."""

    async def delete_schedule(self, tenant: TenantId, schedule: ScheduleId) -> bool: ...

    async def due_schedules(self, path: str, *, limit: int) -> list[Schedule]:
        """Those whose `next_at` has come and that are not paused; locked, others are skipped."""

    async def record_fires(self, fires: Sequence[Fire]) -> list[bool]:
        """Each (schedule, fire_at) once, whoever asks; False: it has fired before."""

    async def fires(self, schedule: ScheduleId, *, limit: int) -> list[Fire]:
        """Newest first."""
