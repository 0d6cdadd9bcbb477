"""Recurring jobs and runs: accept a schedule, pause and resume it, and make a job, or begin a run, each time it is due.

Each time fires once however many dispatchers look: the schedule's row is locked, the time has a row of its
own, and both are committed with the job or the run. What was missed while nobody ran is made up once, or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from headrace.contracts.ids import JobId, KeyId, ScheduleId, TenantId
from headrace.core.blob_names import kept_for
from headrace.core.cron import next_fire
from headrace.core.errors import (
    BadPipeline,
    BadSchedule,
    InvalidInput,
    QueuesFull,
    ScheduleNotFound,
    TenantQueueFull,
    UnknownModel,
    UnknownPipeline,
)
from headrace.core.job import Job
from headrace.core.pipeline import Pipeline
from headrace.core.ports.schedules import Fire, Schedule
from headrace.core.ports.store import NewJob, Store, Transaction
from headrace.core.ports.upkeep import BlobUse
from headrace.core.rollout import Basis, Choose
from headrace.core.run import Run
from headrace.core.usecases.admit import Admission
from headrace.core.usecases.pick import weights_of
from headrace.core.usecases.rollout import in_force
from headrace.core.usecases.runs import (
    Beginning,
    RunRequest,
    begin_planned,
    plan_run,
)
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
_OF_JOB: Final = (
    *("kind", "model", "input", "priority", "timeout_s", "labels", "sticky", "register_as"),
)
_OF_RUN: Final = ("pipeline", "input", "priority", "labels", "deadline_s")
LABEL: Final = "headrace/schedule"  # on each job and run that a schedule made
_CANNOT: Final = (UnknownModel, InvalidInput, UnknownPipeline, BadPipeline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """What a client asks for: a job or a run, with the fields of a Submission or a RunRequest that it may set."""

    tenant: TenantId
    cron: str
    timezone: str
    job: dict[str, Any] | None = None
    run: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Makers:
    """What making a job or a run of a schedule takes."""

    new_id: Callable[[], str]
    check: Check
    choose: Choose | None = None  # where it runs; None: on the path of its schedule
    new_trace: Callable[[], str | None] = lambda: None  # for what nobody's request made
    pipelines: Mapping[str, Pipeline] = field(default_factory=dict)


async def create_schedule(tx: Transaction, asked: Recurrence, makers: Makers) -> Schedule:
    """Whose dispatchers fire it: those of where it would run now, as `choose` has it.

    Raises BadSchedule, UnknownModel, UnknownPipeline, BadPipeline, InvalidInput.
    """
    next_at = next_fire(asked.cron, asked.timezone, await tx.now())
    if next_at is None:
        raise BadSchedule("/cron", "this never fires")
    draft = Schedule(
        id=ScheduleId(makers.new_id()),
        tenant=asked.tenant,
        cron=" ".join(asked.cron.split()),
        timezone=asked.timezone,
        job=asked.job,
        run=asked.run,
        path="",
        next_at=next_at,
    )
    planned = await _plan(tx, draft, makers, None)
    given: dict[str, Any] = (asked.run or asked.job or {})["input"]
    await tx.use_blobs([BlobUse(asked.tenant, blob, draft.id) for blob in kept_for(given)])
    return await tx.insert_schedule(replace(draft, path=planned.what.path))


async def find_schedule(tx: Transaction, tenant: TenantId | None, schedule: ScheduleId) -> Schedule:
    """`tenant` None: whoever's. Raises ScheduleNotFound."""
    found = await tx.schedule(tenant, schedule)
    if found is None:
        raise ScheduleNotFound(schedule)
    return found


async def pause_schedule(
    tx: Transaction, tenant: TenantId | None, schedule: ScheduleId
) -> Schedule:
    """Asking twice changes nothing. Raises ScheduleNotFound."""
    found = await find_schedule(tx, tenant, schedule)
    if found.paused_at is not None:
        return found
    return await _saved(tx, replace(found, paused_at=await tx.now()))


async def resume_schedule(
    tx: Transaction, tenant: TenantId | None, schedule: ScheduleId
) -> Schedule:
    """What would have fired meanwhile was not missed but paused. Raises ScheduleNotFound."""
    found = await find_schedule(tx, tenant, schedule)
    if found.paused_at is None:
        return found
    next_at = next_fire(found.cron, found.timezone, await tx.now())
    return await _saved(tx, replace(found, paused_at=None, next_at=next_at))


async def run_now(
    tx: Transaction,
    tenant: TenantId,
    schedule: ScheduleId,
    *,
    makers: Makers,
    trace: str | None,
    api_key: KeyId | None = None,
) -> Job | Run:
    """One more job or run, beside those of its times; also while it is paused.

    Raises ScheduleNotFound, UnknownModel, UnknownPipeline, BadPipeline, InvalidInput.
    """
    found = await find_schedule(tx, tenant, schedule)
    planned = await _plan(tx, found, makers, trace, api_key)
    now = await tx.now()
    await tx.record_fires([_fire(found, now, planned)])
    await _saved(tx, replace(found, last_at=now, last_error=None))
    jobs, runs = await _make(tx, [planned])
    return runs[0] if runs else (await tx.load([jobs[0].id]))[jobs[0].id]


async def delete_schedule(tx: Transaction, tenant: TenantId, schedule: ScheduleId) -> None:
    """Its jobs and runs stay. Raises ScheduleNotFound."""
    if not await tx.delete_schedule(tenant, schedule):
        raise ScheduleNotFound(schedule)


@dataclass(frozen=True, slots=True)
class Fired:
    jobs: list[Job]
    runs: list[Run]
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
    basis: Basis | None = None  # of the rollout that says where what it makes runs


async def fire_due(store: Store, firing: Firing, *, path: str, limit: int) -> Fired:
    """Make what every schedule asks for whose time has come, and say when each fires next."""
    async with store.begin() as tx:
        due = await tx.due_schedules(path, limit=limit)
        if not due:
            return Fired([], [], [], [], 0, full=False)
        now = await tx.now()
        firing = await _as_rolled_out(tx, firing)
        turns = [await _turn(tx, each, now, firing) for each in due]
        fires = [turn.fire for turn in turns if turn.fire is not None]
        won = await tx.record_fires(fires)
        new = {fire.schedule for fire, ok in zip(fires, won, strict=True) if ok}
        planned = [turn.planned for turn in turns if turn.planned and turn.after.id in new]
        jobs, runs = await _make(tx, planned)
        await tx.save_schedules([turn.after for turn in turns])
    refused = [turn.fire for turn in turns if turn.refused and turn.fire is not None]
    failed = [fire for fire in fires if fire.error is not None and fire not in refused]
    return Fired(jobs, runs, failed, refused, len(due) - len(fires), full=len(due) >= limit)


async def _as_rolled_out(tx: Transaction, firing: Firing) -> Firing:
    """A schedule belongs to whose dispatchers fire it; what it makes goes where a new one would."""
    if firing.basis is None:
        return firing
    rollout = await in_force(tx, firing.basis)
    return replace(firing, makers=replace(firing.makers, choose=rollout.path))


@dataclass(frozen=True, slots=True)
class _Turn:
    after: Schedule
    fire: Fire | None = None  # None: missed, and not made up for
    planned: _Planned | None = None
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
        planned = await _admitted(tx, schedule, firing)
    except _CANNOT as error:
        # Engines change under a schedule that was fine when it was made. It goes on, and says so.
        return _nothing(after, due_at, str(error))
    except (TenantQueueFull, QueuesFull) as error:
        return replace(_nothing(after, due_at, f"skipped: {error}"), refused=True)
    return _Turn(after, _fire(schedule, due_at, planned), planned)


def _nothing(after: Schedule, due_at: datetime, why: str) -> _Turn:
    fire = Fire(schedule=after.id, fire_at=due_at, error=why)
    return _Turn(replace(after, last_error=why), fire)


async def _admitted(tx: Transaction, schedule: Schedule, firing: Firing) -> _Planned:
    """Under the same caps as a submission."""
    tenant, admission = schedule.tenant, firing.admission
    await admission.look_within(tx, tenant)
    admission.refuse_if_full(tenant)
    planned = await _plan(tx, schedule, firing.makers, firing.makers.new_trace())
    more = planned.jobs - 1
    admission.refuse_if_full(tenant, more=more, more_in_all=more)
    for _ in range(planned.jobs):
        admission.count(tenant)
    return planned


@dataclass(frozen=True, slots=True)
class _Planned:
    """What a schedule makes now, of which nothing is kept yet."""

    what: Job | Run
    jobs: int = 1  # that begin with it


async def _plan(  # for whom and by whom, each by its name
    tx: Transaction,
    schedule: Schedule,
    makers: Makers,
    trace: str | None,
    api_key: KeyId | None = None,
) -> _Planned:
    """Raises UnknownModel, UnknownPipeline, BadPipeline, InvalidInput."""
    if schedule.run is None:
        return _Planned(await _job_of(tx, schedule, makers, trace, api_key))
    asked = RunRequest(
        tenant=schedule.tenant, api_key=api_key, trace=trace, **_known(schedule.run, _OF_RUN)
    )
    labelled = replace(asked, labels={**asked.labels, LABEL: schedule.id})
    how = Beginning(
        pipelines=makers.pipelines,
        path=partial(_path, schedule, makers),
        new_id=makers.new_id,
        check=makers.check,
    )
    planned = await plan_run(tx, labelled, how)
    return _Planned(planned.run, planned.jobs)


async def _job_of(
    tx: Transaction,
    schedule: Schedule,
    makers: Makers,
    trace: str | None,
    api_key: KeyId | None,
) -> Job:
    asked = Submission(
        tenant=schedule.tenant,
        api_key=api_key,
        trace=trace,
        **_known(schedule.job or {}, _OF_JOB),
    )
    check_inline(asked)
    named_blobs(asked.input)
    picked = await pick_for(tx, asked)  # as its route is now
    makers.check(picked.card, asked.input)
    labelled = replace(asked, labels={**asked.labels, LABEL: schedule.id})
    path = _path(schedule, makers, asked.kind)
    return await new_job(tx, labelled, picked, path, JobId(makers.new_id()))


def _known(given: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Fields that this build does not know are a newer one's, and left to it."""
    return {name: given[name] for name in fields if name in given}


def _path(schedule: Schedule, makers: Makers, kind: str) -> str:
    return schedule.path if makers.choose is None else makers.choose(schedule.tenant, kind)


def _fire(schedule: Schedule, at: datetime, planned: _Planned) -> Fire:
    match planned.what:
        case Job(id=job):
            return Fire(schedule=schedule.id, fire_at=at, job=job)
        case Run(id=run):
            return Fire(schedule=schedule.id, fire_at=at, run=run)


async def _make(tx: Transaction, planned: Sequence[_Planned]) -> tuple[list[Job], list[Run]]:
    jobs = [each.what for each in planned if isinstance(each.what, Job)]
    await tx.insert([NewJob(job) for job in jobs])
    inputs = [BlobUse(job.tenant, b, job.id) for job in jobs for b in kept_for(job.spec.input)]
    await tx.use_blobs(inputs + [use for job in jobs for use in weights_of(job)])
    return jobs, [
        await begin_planned(tx, each.what) for each in planned if isinstance(each.what, Run)
    ]


async def _saved(tx: Transaction, schedule: Schedule) -> Schedule:
    await tx.save_schedules([schedule])
    return schedule
