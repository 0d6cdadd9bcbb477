"""What an attempt leaves behind reaches the next one, by whichever way it ended, and is let go when it is old."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.contracts.ids import BlobId, JobId
from headrace.contracts.messages import Grant, Heartbeat, JobError
from headrace.core.gang import Gang
from headrace.core.job import Job, State
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.store import Store
from headrace.core.retry import RetryPolicy
from headrace.core.usecases.checkpoint import keep_checkpoints
from headrace.core.usecases.claim import claim
from headrace.core.usecases.record import Recorded, record
from headrace.core.usecases.retry import retry, retry_with
from headrace.core.usecases.sweep import sweep
from headrace.testkit.builders import a_job_id
from headrace.testkit.deciding import (
    ANY,
    LEASE,
    OVER,
    PATH,
    POLICY,
    WORKER,
    a_claim,
    a_failure,
    a_result,
    history,
    read,
    running,
    taken,
)

NO_SECOND_TRY = RetryPolicy(failures=1, losses=1)


def tells(job: Job, blob: str, step: int) -> Heartbeat:
    return Heartbeat(job.id, job.epoch, checkpoint=BlobId(blob), checkpoint_step=step)


async def left(store: Store, job: JobId) -> tuple[str, int] | None:
    checkpoint = (await read(store, job)).checkpoint
    return None if checkpoint is None else (checkpoint.blob, checkpoint.step)


async def granted(store: Store, job: Job) -> Grant:
    claimed = await claim(store, WORKER, [a_claim(job, "the next")], lease=LEASE)
    (answer,) = claimed.answers
    assert isinstance(answer, Grant)
    return answer


async def ended(store: Store, job: Job, **fields: Any) -> Recorded:
    result = a_result(job, **fields)
    return await record(store, [result], policy=POLICY, random=ANY)


async def test_the_first_attempt_has_nothing_to_go_on_from(store: Store) -> None:
    job = await running(store)

    assert (await granted_again(store, job)).checkpoint is None


async def granted_again(store: Store, job: Job) -> Grant:
    """Its worker is lost, and another asks for it."""
    await ended(store, job, outcome="failed", error=JobError("worker_lost", "killed"))
    return await granted(store, await read(store, job.id))


async def test_the_next_attempt_is_granted_with_what_the_last_one_told(store: Store) -> None:
    job = await running(store)
    await keep_checkpoints(store, [tells(job, "one", 3)])

    grant = await granted_again(store, job)

    assert (grant.checkpoint, grant.checkpoint_step) == ("one", 3)
    assert [each.resumed_step for each in await history(store, job.id)] == [None, 3]


async def test_a_worker_that_fell_silent_has_left_it_too(store: Store) -> None:
    job = await running(store, lease=OVER)
    await keep_checkpoints(store, [tells(job, "one", 3)])
    await sweep(store, path=PATH, policy=POLICY, limit=10)

    grant = await granted(store, await read(store, job.id))

    assert (grant.checkpoint, grant.checkpoint_step) == ("one", 3)


async def test_who_lost_the_job_has_no_say(store: Store) -> None:
    job = await running(store, lease=OVER)
    await sweep(store, path=PATH, policy=POLICY, limit=10)
    (again,) = await taken(store, await read(store, job.id))

    assert await keep_checkpoints(store, [tells(job, "late", 9)]) == [
        BlobRef(job.tenant, BlobId("late"))
    ]

    assert await left(store, again.id) is None


@pytest.mark.parametrize("outcome", ["released", "failed"])
async def test_what_no_heartbeat_told_the_result_tells(store: Store, outcome: Any) -> None:
    job = await running(store)
    await keep_checkpoints(store, [tells(job, "one", 3)])

    done = await ended(store, job, outcome=outcome, checkpoint=BlobId("two"), checkpoint_step=5)

    assert await left(store, job.id) == ("two", 5)
    assert done.let_go == [BlobRef(job.tenant, BlobId("one"))]


async def test_a_result_that_comes_too_late_leaves_nothing_behind(store: Store) -> None:
    job = await running(store)
    await ended(store, job, outcome="released")

    await ended(store, job, outcome="released", checkpoint=BlobId("late"), checkpoint_step=5)

    assert await left(store, job.id) is None


async def test_a_success_needs_none_any_more(store: Store) -> None:
    job = await running(store)
    await keep_checkpoints(store, [tells(job, "one", 3)])

    done = await ended(store, job, checkpoint=BlobId("two"), checkpoint_step=5)

    assert await left(store, job.id) is None
    assert {ref.blob for ref in done.let_go} == {"one", "two"}


async def dead(store: Store) -> Job:
    job = await running(store)
    await keep_checkpoints(store, [tells(job, "one", 3)])
    await record(store, [a_failure(job)], policy=NO_SECOND_TRY, random=ANY)
    return await read(store, job.id)


async def test_a_dead_job_that_is_tried_again_by_hand_goes_on_from_it(store: Store) -> None:
    old = await dead(store)
    async with store.begin() as tx:
        new = await retry(tx, old.tenant, old.id, new_id=a_job_id, trace=None)

    grant = await granted(store, new)

    assert (old.state, grant.checkpoint, grant.checkpoint_step) == (State.DEAD, "one", 3)


async def test_what_the_new_one_leaves_takes_nothing_from_the_old(store: Store) -> None:
    old = await dead(store)
    async with store.begin() as tx:
        new = await retry(tx, old.tenant, old.id, new_id=a_job_id, trace=None)
    (again,) = await taken(store, new)

    assert await keep_checkpoints(store, [tells(again, "two", 1)]) == []

    assert await left(store, again.id) == ("two", 1)
    assert await left(store, old.id) == ("one", 3)


async def test_with_another_input_it_begins_at_the_beginning(store: Store) -> None:
    old = await dead(store)
    async with store.begin() as tx:
        new = await retry_with(
            tx, old, given={}, gang=Gang(), blobs=[], new_id=a_job_id, trace=None
        )

    assert new.checkpoint is None


async def test_heartbeats_without_one_ask_the_store_nothing(store: Store) -> None:
    job = await running(store)

    assert await keep_checkpoints(store, [Heartbeat(job.id, job.epoch, 0.5)]) == []

    assert await left(store, job.id) is None
