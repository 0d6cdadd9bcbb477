"""Schedules make one job for each of their times, whoever looks, and say so when they cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from headrace.contracts.ids import ScheduleId, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.errors import BadSchedule, InvalidInput, ScheduleNotFound, UnknownModel
from headrace.core.job import Job, State
from headrace.core.ports.schedules import Fire, Schedule
from headrace.core.ports.store import Query, Store
from headrace.core.usecases.admit import Admission, Caps
from headrace.core.usecases.schedules import (
    LABEL,
    Fired,
    Firing,
    Makers,
    Missed,
    Recurrence,
    create_schedule,
    fire_due,
    pause_schedule,
    resume_schedule,
    run_now,
)
from headrace.testkit.builders import a_job_id, a_schedule
from headrace.testkit.deciding import ECHO, PATH, outbox, put

TENANT = TenantId("tenant")
MINUTE = timedelta(minutes=1)


def anything(card: EngineCard, given: Mapping[str, Any]) -> None:
    """Fits."""


def nothing(card: EngineCard, given: Mapping[str, Any]) -> None:
    raise InvalidInput("/text", "no")


def on_path(tenant: TenantId, kind: str) -> str:
    return PATH


def makers(check: Callable[[EngineCard, Mapping[str, Any]], None] = anything) -> Makers:
    return Makers(a_job_id, check)


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])


async def now(store: Store) -> datetime:
    async with store.begin() as tx:
        return await tx.now()


async def keep(store: Store, **fields: Any) -> Schedule:
    async with store.begin() as tx:
        return await tx.insert_schedule(a_schedule(**{"cron": "* * * * *", **fields}))


async def fire(store: Store, missed: Missed = "once", caps: Caps | None = None) -> Fired:
    admission = Admission(caps or Caps())
    firing = Firing(missed=missed, makers=makers(), admission=admission)
    return await fire_due(store, firing, path=PATH, limit=10)


async def again(store: Store, schedule: Schedule) -> tuple[Schedule, list[Fire]]:
    async with store.begin() as tx:
        found = await tx.schedule(schedule.tenant, schedule.id)
        assert found is not None
        return found, await tx.fires(schedule.id, limit=10)


def asked(cron: str = "0 6 * * *", **job: Any) -> Recurrence:
    template = {"kind": "echo", "input": {"text": "a"}, **job}
    return Recurrence(tenant=TENANT, cron=cron, timezone="Europe/Berlin", job=template)


async def test_a_new_schedule_knows_when_it_fires(store: Store) -> None:
    async with store.begin() as tx:
        made = await create_schedule(tx, asked(" 0  6 * * * "), replace(makers(), choose=on_path))

    assert made.next_at is not None
    assert made.next_at > await now(store)
    assert (made.cron, made.path) == ("0 6 * * *", PATH)
    assert (await again(store, made))[0] == made


@pytest.mark.parametrize(
    ("wanted", "check", "error"),
    [
        (asked("nonsense"), anything, BadSchedule),
        (asked(kind="nobody"), anything, UnknownModel),
        (asked(), nothing, InvalidInput),
        (asked(input={"text": "x" * 60_000}), anything, InvalidInput),
    ],
)
async def test_what_could_not_run_is_refused_at_once(
    store: Store, wanted: Recurrence, check: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        async with store.begin() as tx:
            await create_schedule(tx, wanted, replace(makers(check), choose=on_path))

    async with store.begin() as tx:
        assert await tx.schedules(TENANT, before=None, limit=10) == []


async def test_a_schedule_that_is_due_makes_a_job_and_moves_on(store: Store) -> None:
    due_at = await now(store) - timedelta(seconds=5)
    kept = await keep(store, next_at=due_at, job={"kind": "echo", "input": {}, "priority": 7})

    fired = await fire(store)

    (job,) = fired.jobs
    after, fires = await again(store, kept)
    assert (job.spec.priority, job.spec.labels, job.state) == (7, {LABEL: kept.id}, State.QUEUED)
    assert [row.job for row in await outbox(store)] == [job.id]
    assert after.next_at is not None
    assert due_at < await now(store) < after.next_at
    assert (after.last_at, after.last_error) == (due_at, None)
    assert [(each.fire_at, each.job) for each in fires] == [(due_at, job.id)]
    assert (await fire(store)).jobs == []


async def test_a_time_that_has_fired_does_not_fire_again(store: Store) -> None:
    """The row of the fire decides, even if the schedule's own had been put back."""
    due_at = await now(store) - timedelta(seconds=5)
    kept = await keep(store, next_at=due_at)
    await fire(store)
    async with store.begin() as tx:
        await tx.save_schedules([kept])

    fired = await fire(store)

    assert fired.jobs == []
    assert len(await outbox(store)) == 1


async def test_what_was_missed_while_nobody_ran_is_made_up_by_one_job(store: Store) -> None:
    long_ago = await now(store) - timedelta(days=3)
    kept = await keep(store, next_at=long_ago)

    fired = await fire(store, "once")

    after, _ = await again(store, kept)
    assert len(fired.jobs) == 1
    assert after.next_at is not None
    assert after.next_at > await now(store)


async def test_what_was_missed_may_be_skipped(store: Store) -> None:
    kept = await keep(store, next_at=await now(store) - timedelta(days=3))
    in_time = await keep(store, next_at=await now(store) - timedelta(seconds=20))

    fired = await fire(store, "skip")

    assert fired.skipped == 1
    assert [job.spec.labels[LABEL] for job in fired.jobs] == [in_time.id]
    after, fires = await again(store, kept)
    assert after.next_at is not None
    assert after.next_at > await now(store)
    assert fires == []


async def test_a_schedule_whose_engine_is_gone_says_so_and_delays_nobody(store: Store) -> None:
    due_at = await now(store) - timedelta(seconds=5)
    broken = await keep(store, next_at=due_at, job={"kind": "gone", "input": {}})
    fine = await keep(store, next_at=due_at)

    fired = await fire(store)

    assert [job.spec.labels[LABEL] for job in fired.jobs] == [fine.id]
    after, fires = await again(store, broken)
    assert after.last_error is not None
    assert "no engine runs kind 'gone'" in after.last_error
    assert [each.error for each in fires] == [after.last_error]


async def test_a_paused_schedule_does_not_fire_and_goes_on_from_when_it_is_resumed(
    store: Store,
) -> None:
    kept = await keep(store, next_at=await now(store) - timedelta(days=1))
    async with store.begin() as tx:
        await pause_schedule(tx, TENANT, kept.id)
    while_paused = await fire(store)
    async with store.begin() as tx:
        resumed = await resume_schedule(tx, TENANT, kept.id)

    afterwards = await fire(store)

    assert (while_paused.jobs, afterwards.jobs) == ([], [])
    assert resumed.paused_at is None
    assert resumed.next_at is not None
    assert resumed.next_at > await now(store)


async def test_run_now_makes_a_job_beside_those_of_its_times(store: Store) -> None:
    next_at = await now(store) + timedelta(days=1)
    kept = await keep(store, next_at=next_at)

    async with store.begin() as tx:
        job = await run_now(tx, TENANT, kept.id, makers=makers(), trace="00-1-2-01")

    after, fires = await again(store, kept)
    assert isinstance(job, Job)
    assert job.spec.labels == {LABEL: kept.id}
    assert job.trace == "00-1-2-01"
    assert after.next_at == next_at
    assert [each.job for each in fires] == [job.id]
    async with store.begin() as tx:
        listed = await tx.page(TENANT, Query(label=(LABEL, kept.id)))
    assert [each.id for each in listed] == [job.id]


async def test_nobody_runs_the_schedule_of_another_tenant(store: Store) -> None:
    kept = await keep(store)

    with pytest.raises(ScheduleNotFound):
        async with store.begin() as tx:
            await run_now(tx, TenantId("another"), kept.id, makers=makers(), trace=None)
    with pytest.raises(ScheduleNotFound):
        async with store.begin() as tx:
            await pause_schedule(tx, TENANT, ScheduleId("unknown"))


async def test_a_schedule_whose_zone_is_gone_stops_and_stops_nobody_else(store: Store) -> None:
    due_at = await now(store) - timedelta(seconds=5)
    broken = await keep(store, next_at=due_at, timezone="Europe/Atlantis")
    fine = await keep(store, next_at=due_at)

    fired = await fire(store)

    assert [job.spec.labels[LABEL] for job in fired.jobs] == [fine.id]
    after, _ = await again(store, broken)
    assert after.next_at is None
    assert after.last_error is not None
    assert "no IANA time zone" in after.last_error


async def test_what_a_newer_build_wrote_into_a_schedule_is_left_to_it(store: Store) -> None:
    job = {"kind": "echo", "input": {}, "from_the_future": True}
    await keep(store, next_at=await now(store) - timedelta(seconds=5), job=job)

    assert len((await fire(store)).jobs) == 1


async def test_a_fire_that_finds_too_many_waiting_is_skipped_and_says_why(store: Store) -> None:
    first, second = [
        await keep(store, next_at=await now(store) - timedelta(seconds=back)) for back in (9, 5)
    ]

    fired = await fire(store, caps=Caps(per_tenant=1))

    (job,) = fired.jobs
    (refused,) = fired.refused
    after, fires = await again(store, second)
    assert (fired.failed, fired.skipped) == ([], 0)
    assert job.spec.labels == {LABEL: first.id}
    assert refused.schedule == second.id
    assert after.last_error is not None
    assert after.last_error.startswith("skipped: this tenant has its 1 jobs waiting")
    assert [(each.job, each.error) for each in fires] == [(None, after.last_error)]
    assert after.next_at is not None
    assert after.next_at > await now(store)
    assert len(await outbox(store)) == 1


async def test_the_cap_of_all_tenants_holds_for_schedules_too(store: Store) -> None:
    kept = await keep(store, next_at=await now(store) - timedelta(seconds=5))

    fired = await fire(store, caps=Caps(in_all=0))

    assert fired.jobs == []
    assert [each.schedule for each in fired.refused] == [kept.id]


async def test_a_tenant_without_room_does_not_hold_up_another_s_schedule(store: Store) -> None:
    for _ in range(2):
        await put(store, tenant=TENANT)
    await keep(store, next_at=await now(store) - timedelta(seconds=9))
    other = await keep(
        store, next_at=await now(store) - timedelta(seconds=5), tenant=TenantId("other")
    )

    fired = await fire(store, caps=Caps(per_tenant=2))

    assert [job.spec.labels for job in fired.jobs] == [{LABEL: other.id}]
    assert len(fired.refused) == 1
