"""What time has overtaken is found, moved on and announced, and nothing is said that was not saved."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from headrace.core.job import State
from headrace.core.ports.store import Store
from headrace.core.retry import RetryPolicy
from headrace.core.usecases.cancel import ask_cancel, honour_cancels
from headrace.core.usecases.record import record
from headrace.core.usecases.sweep import Swept, queue_due, sweep
from headrace.testkit.builders import LONG_AGO
from headrace.testkit.deciding import (
    ANY,
    OVER,
    PATH,
    POLICY,
    a_failure,
    a_result,
    history,
    outbox,
    put,
    read,
    running,
    taken,
    told,
)

NOTHING = Swept([], [], lost=0, expired=0, full=False)
AT_ONCE = RetryPolicy(base=timedelta(0))


async def swept(store: Store, *, policy: RetryPolicy = POLICY, limit: int = 10) -> Swept:
    return await sweep(store, path=PATH, policy=policy, limit=limit)


async def later(store: Store, **fields: Any) -> dict[str, Any]:
    async with store.begin() as tx:
        return {name: await tx.now() + delay for name, delay in fields.items()}


async def test_a_job_is_queued_when_its_time_has_come(store: Store) -> None:
    job = await put(store, state=State.SCHEDULED, not_before=LONG_AGO)

    announced = await queue_due(store, path=PATH, limit=10)

    after = await read(store, job.id)
    assert (after.state, after.runnable_since) == (State.QUEUED, LONG_AGO)
    assert [row.job for row in await outbox(store)] == [job.id]
    assert told(announced) == [(job.id, 0, "queued")]


async def test_a_job_waits_until_its_time_has_come(store: Store) -> None:
    times = await later(store, not_before=timedelta(hours=1))
    job = await put(store, state=State.SCHEDULED, **times)

    assert await queue_due(store, path=PATH, limit=10) == []
    assert (await read(store, job.id)).state is State.SCHEDULED


async def test_a_retry_is_queued_in_the_epoch_that_its_failure_opened(store: Store) -> None:
    job = await running(store)
    await record(store, [a_failure(job)], policy=AT_ONCE, random=ANY)

    announced = await queue_due(store, path=PATH, limit=10)

    assert told(announced) == [(job.id, job.epoch + 1, "queued")]
    assert [row.epoch for row in await outbox(store)] == [job.epoch + 1]


async def test_a_lease_that_ran_out_gives_the_job_to_the_next(store: Store) -> None:
    job = await running(store, lease=OVER)

    done = await swept(store)

    after = await read(store, job.id)
    assert (after.state, after.losses, after.worker) == (State.QUEUED, 1, None)
    assert (done.lost, done.expired) == (1, 0)
    assert told(done.announcements) == [(job.id, job.epoch + 1, "attempt")]
    assert [row.epoch for row in await outbox(store)] == [job.epoch + 1]
    (attempt,) = await history(store, job.id)
    assert (attempt.outcome, (attempt.error or {})["kind"]) == ("lost", "worker_lost")


async def test_a_lease_that_still_runs_is_left_alone(store: Store) -> None:
    job = await running(store)

    assert await swept(store) == NOTHING
    assert await read(store, job.id) == job


async def test_a_job_that_loses_worker_after_worker_is_parked(store: Store) -> None:
    job = await put(store)
    done = NOTHING
    for _ in range(3):
        await taken(store, await read(store, job.id), lease=OVER)
        done = await swept(store, policy=RetryPolicy(losses=3))

    after = await read(store, job.id)
    assert (after.state, (after.error or {})["kind"]) == (State.DEAD, "worker_lost")
    assert told(done.announcements) == [(job.id, after.epoch, "dead")]
    assert [each.outcome for each in await history(store, job.id)] == ["lost"] * 3


async def test_a_job_that_shall_stop_and_loses_its_worker_has_stopped(store: Store) -> None:
    job = await running(store, lease=OVER)
    await ask_cancel(store, job.tenant, job.id)
    await honour_cancels(store, path=PATH, limit=10)

    done = await swept(store)

    after = await read(store, job.id)
    assert (after.state, after.error) == (State.CANCELLED, None)
    assert told(done.announcements) == [(job.id, job.epoch + 1, "cancelled")]


@pytest.mark.parametrize("state", [State.QUEUED, State.SCHEDULED])
async def test_a_job_that_did_not_start_in_time_has_failed(store: Store, state: State) -> None:
    job = await put(store, state=state, start_deadline=LONG_AGO)

    done = await swept(store)

    after = await read(store, job.id)
    assert (after.state, (after.error or {})["kind"]) == (State.FAILED, "deadline")
    assert (done.lost, done.expired) == (0, 1)
    assert told(done.announcements) == [(job.id, 0, "failed")]
    assert await outbox(store) == []


async def test_a_job_that_still_has_time_to_start_waits(store: Store) -> None:
    await put(store, **await later(store, start_deadline=timedelta(hours=1)))

    assert await swept(store) == NOTHING


async def test_a_job_that_started_in_time_may_be_tried_again_after_its_start_deadline(
    store: Store,
) -> None:
    retried = await running(store, start_deadline=LONG_AGO)
    given_back = await running(store, start_deadline=LONG_AGO)
    results = [a_failure(retried), a_result(given_back, "released")]
    await record(store, results, policy=POLICY, random=ANY)

    assert await swept(store) == NOTHING
    assert (await read(store, retried.id)).state is State.SCHEDULED
    assert (await read(store, given_back.id)).state is State.QUEUED


async def test_each_path_sweeps_its_own(store: Store) -> None:
    await put(store, path="distributed", start_deadline=LONG_AGO)
    await put(store, path="distributed", state=State.SCHEDULED)
    await running(store, path="distributed", lease=OVER)

    assert await swept(store) == NOTHING
    assert await queue_due(store, path=PATH, limit=10) == []


async def test_a_full_list_asks_for_another_sweep(store: Store) -> None:
    for _ in range(3):
        await running(store, lease=OVER)

    first, second = await swept(store, limit=2), await swept(store, limit=2)

    assert (first.lost, first.full) == (2, True)
    assert (second.lost, second.full) == (1, False)


async def test_what_is_swept_twice_is_moved_and_told_once(store: Store) -> None:
    await running(store, lease=OVER)
    await put(store, start_deadline=LONG_AGO)
    await swept(store)

    assert await swept(store) == NOTHING
