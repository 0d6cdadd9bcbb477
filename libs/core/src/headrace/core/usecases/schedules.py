"""Recurring jobs: accept a schedule, pause and resume it, and make a job each time it is due.

Each time fires once however many dispatchers look: the schedule's row is locked, the time has a
row of its own, and both are committed with the job. What was missed while nobody ran is made up by one job, or by none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from headrace.contracts.ids import JobId, KeyId, ScheduleId, TenantId
from headrace.core.blob_names import kept_for
from headrace.core.cron import next_fire
from headrace.core.errors import (
    BadSchedule,
    InvalidInput,
    QueuesFull,
    ScheduleNotFound,
    TenantQueueFull,
    UnknownModel,
)
from headrace.core.job import Job
from headrace.core.ports.schedules import Fire, Schedule
from headrace.core.ports.store import NewJob, Store, Transaction
from headrace.core.ports.upkeep import BlobUse
from headrace.core.rollout import Basis, Choose
from headrace.core.usecases.admit import Admission
from headrace.core.usecases.pick import weights_of
from headrace.core.usecases.rollout import in_force
from headrace.core.usecases.submit import (
    Check,
    Submission,
    check_inline,
    named_blobs,
    new_job,
    pick_for,
)

Missed: TypeAlias = Literal["once", "skip"]
LATE: Final = timedelta(minutes=1)  # a fire no later than this is in time, not missed
_FIELDS: Final = (
    *("kind", "model", "input", "priority", "timeout_s", "labels", "sticky", "register_as"),
)
LABEL: Final = "headrace/schedule"  # on each job that a schedule made


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """What a client asks for. `job` has the fields of a Submission that a client may set."""

    tenant: TenantId
    cron: str
    timezone: str
    job: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Makers:
    """What making a job of a schedule takes."""

    new_id: Callable[[], str]
    check: Check
    choose: Choose | None = None  # where it runs; None: on the path of its schedule
    new_trace: Callable[[], str | None] = lambda: None  # for a job that nobody's request made


async def create_schedule(
    tx: Transaction, asked: Recurrence, *, path: str, makers: Makers
) -> Schedule:
    """Raises BadSchedule, UnknownModel, InvalidInput."""
    next_at = next_fire(asked.cron, asked.timezone, await tx.now())
    if next_at is None:
        raise BadSchedule("/cron", "this never fires")
    request = _submission(asked.tenant, asked.job, None)
    check_inline(request)
    named = named_blobs(request.input)
    makers.check((await pick_for(tx, request)).card, request.input)
    schedule = Schedule(
        id=ScheduleId(makers.new_id()),
        tenant=asked.tenant,
        cron=" ".join(asked.cron.split()),
        timezone=asked.timezone,
        job=asked.job,
        path=path,
        next_at=next_at,
    )
    await tx.use_blobs([BlobUse(asked.tenant, blob, schedule.id) for blob in named])
    return await tx.insert_schedule(schedule)


async def find_schedule(tx: Transaction, tenant: TenantId, schedule: ScheduleId) -> Schedule:
    """Raises ScheduleNotFound."""
    found = await tx.schedule(tenant, schedule)
    if found is None:
        raise ScheduleNotFound(schedule)
    return found


async def pause_schedule(tx: Transaction, tenant: TenantId, schedule: ScheduleId) -> Schedule:
    """Asking twice changes nothing. Raises ScheduleNotFound."""
    found = await find_schedule(tx, tenant, schedule)
    if found.paused_at is not None:
        return found
    return await _saved(tx, replace(found, paused_at=await tx.now()))


async def resume_schedule(tx: Transaction, tenant: TenantId, schedule: ScheduleId) -> Schedule:
    """What would have fired meanwhile was not missed but paused. Raises ScheduleNotFound."""
    found = await find_schedule(tx, tenant, schedule)
    if found.paused_at is None:
        return found
    next_at = next_fire(found.cron, found.timezone, await tx.now())
    return await _saved(tx, replace(found, paused_at=None, next_at=next_at))


async def run_now(  # what it makes and of whom, each by its name
    tx: Transaction,
    tenant: TenantId,
    schedule: ScheduleId,
    *,
    makers: Makers,
    trace: str | None,
    api_key: KeyId | None = None,
) -> Job:
    """One more job, beside those of its times; also while it is paused.

    Raises ScheduleNotFound, UnknownModel, InvalidInput.
    """
    found = await find_schedule(tx, tenant, schedule)
    job = replace(await _job_of(tx, found, makers, trace), api_key=api_key)
    now = await tx.now()
    await tx.record_fires([Fire(schedule=found.id, fire_at=now, job=job.id)])
    await _insert(tx, [job])
    await _saved(tx, replace(found, last_at=now, last_error=None))
    return (await tx.load([job.id]))[job.id]


async def delete_schedule(tx: Transaction, tenant: TenantId, schedule: ScheduleId) -> None:
    """Its jobs stay. Raises ScheduleNotFound."""
    if not await tx.delete_schedule(tenant, schedule):
        raise ScheduleNotFound(schedule)


@dataclass(frozen=True, slots=True)
class Fired:
    jobs: list[Job]
    failed: list[Fire]
    refused: list[Fire]  # as many jobs wait as may
    skipped: int  # missed, and not made up for
    full: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What a schedule's time meets when it comes."""

    missed: Missed
    makers: Makers
    admission: Admission
    basis: Basis | None = None  # of the rollout that says where its job runs


async def fire_due(store: Store, firing: Firing, *, path: str, limit: int) -> Fired:
    """Make a job for every schedule whose time has come, and say when each fires next."""
    async with store.begin() as tx:
        due = await tx.due_schedules(path, limit=limit)
        if not due:
            return Fired([], [], [], 0, full=False)
        now = await tx.now()
        firing = await _as_rolled_out(tx, firing)
        turns = [await _turn(tx, each, now, firing) for each in due]
        fires = [turn.fire for turn in turns if turn.fire is not None]
        won = await tx.record_fires(fires)
        new = {fire.job for fire, ok in zip(fires, won, strict=True) if ok}
        jobs = [turn.job for turn in turns if turn.job is not None and turn.job.id in new]
        await _insert(tx, jobs)
        await tx.save_schedules([turn.after for turn in turns])
    refused = [turn.fire for turn in turns if turn.refused and turn.fire is not None]
    failed = [fire for fire in fires if fire.error is not None and fire not in refused]
    return Fired(jobs, failed, refused, len(due) - len(fires), full=len(due) >= limit)


async def _as_rolled_out(tx: Transaction, firing: Firing) -> Firing:
    """A schedule belongs to whose dispatchers fire it; each of its jobs goes where a new one would."""
    if firing.basis is None:
        return firing
    rollout = await in_force(tx, firing.basis)
    return replace(firing, makers=replace(firing.makers, choose=rollout.path))


@dataclass(frozen=True, slots=True)
class _Turn:
    after: Schedule
    fire: Fire | None = None  # None: missed, and not made up for
    job: Job | None = None
    refused: bool = False


async def _turn(tx: Transaction, schedule: Schedule, now: datetime, firing: Firing) -> _Turn:
    due_at = schedule.next_at or now
    try:
        after = replace(schedule, next_at=next_fire(schedule.cron, schedule.timezone, now))
    except BadSchedule as error:
        # Time zones come and go with the system's updates. It stops; it must not stop the others.
        return _Turn(replace(schedule, next_at=None, last_error=str(error)))
    if firing.missed == "skip" and now - due_at > LATE:
        return _Turn(after)
    after = replace(after, last_at=due_at, last_error=None)
    try:
        job = await _admitted(tx, schedule, firing)
    except (UnknownModel, InvalidInput) as error:
        # Engines change under a schedule that was fine when it was made. It goes on, and says so.
        return _no_job(after, due_at, str(error))
    except (TenantQueueFull, QueuesFull) as error:
        return replace(_no_job(after, due_at, f"skipped: {error}"), refused=True)
    return _Turn(after, Fire(schedule=schedule.id, fire_at=due_at, job=job.id), job)


def _no_job(after: Schedule, due_at: datetime, why: str) -> _Turn:
    fire = Fire(schedule=after.id, fire_at=due_at, error=why)
    return _Turn(replace(after, last_error=why), fire)


async def _admitted(tx: Transaction, schedule: Schedule, firing: Firing) -> Job:
    """Under the same caps as a submission."""
    await firing.admission.look_within(tx, schedule.tenant)
    firing.admission.refuse_if_full(schedule.tenant)
    job = await _job_of(tx, schedule, firing.makers, firing.makers.new_trace())
    firing.admission.count(schedule.tenant)
    return job


async def _insert(tx: Transaction, jobs: list[Job]) -> None:
    await tx.insert([NewJob(job) for job in jobs])
    inputs = [BlobUse(job.tenant, b, job.id) for job in jobs for b in kept_for(job.spec.input)]
    await tx.use_blobs(inputs + [use for job in jobs for use in weights_of(job)])


async def _job_of(tx: Transaction, schedule: Schedule, makers: Makers, trace: str | None) -> Job:
    request = _submission(schedule.tenant, schedule.job, trace)
    picked = await pick_for(tx, request)  # as its route is now
    makers.check(picked.card, request.input)
    labelled = replace(request, labels={**request.labels, LABEL: schedule.id})
    choose = makers.choose
    path = schedule.path if choose is None else choose(schedule.tenant, request.kind)
    return await new_job(tx, labelled, picked, path, JobId(makers.new_id()))


def _submission(tenant: TenantId, job: dict[str, Any], trace: str | None) -> Submission:
    """Fields that this build does not know are a newer one's, and left to it."""
    known = {name: job[name] for name in _FIELDS if name in job}
    return Submission(tenant=tenant, trace=trace, **known)


async def _saved(tx: Transaction, schedule: Schedule) -> Schedule:
    await tx.save_schedules([schedule])
    return schedule
