"""A job that loses one worker again and again may be innocent; one that loses two is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeAlias

import pytest

from headrace.contracts.ids import Lane, WorkerId
from headrace.core.job import Job, State
from headrace.core.ports.store import Store
from headrace.core.retry import RetryPolicy
from headrace.core.usecases.record import record
from headrace.core.usecases.sweep import queue_due, sweep
from headrace.testkit.deciding import ANY, OVER, PATH, a_failure, put, read, see, taken

POLICY = RetryPolicy(losses=2)
Lose: TypeAlias = Callable[[Store, Job, WorkerId], Awaitable[Job]]
ONE, OTHER = WorkerId("one"), WorkerId("other")


async def crash(store: Store, job: Job, worker: WorkerId, policy: RetryPolicy = POLICY) -> Job:
    """Its engine dies under it, and the worker tells."""
    (held,) = await taken(store, await read(store, job.id), worker=worker)
    await record(store, [a_failure(held, "worker_lost")], policy=policy, random=ANY)
    return await read(store, job.id)


async def vanish(store: Store, job: Job, worker: WorkerId) -> Job:
    """The worker is never heard of again."""
    await taken(store, await read(store, job.id), worker=worker, lease=OVER)
    await sweep(store, path=PATH, policy=POLICY, limit=10)
    return await read(store, job.id)


@pytest.mark.parametrize("lose", [crash, vanish])
async def test_a_job_that_is_lost_on_two_workers_is_dead(store: Store, lose: Lose) -> None:
    job = await put(store)
    await see(store, 1, ONE)
    await see(store, 1, OTHER)

    first = await lose(store, job, ONE)
    second = await lose(store, job, OTHER)

    assert (first.state, second.state) == (State.QUEUED, State.DEAD)


@pytest.mark.parametrize("lose", [crash, vanish])
async def test_one_worker_alone_may_be_to_blame_while_another_could_take_it(
    store: Store, lose: Lose
) -> None:
    job = await put(store)
    await see(store, 1, ONE)
    await see(store, 1, OTHER)

    states = [(await lose(store, job, ONE)).state for _ in range(4)]

    assert states == [State.QUEUED] * 3 + [State.DEAD]


async def test_where_there_is_one_worker_its_word_is_enough(store: Store) -> None:
    job = await put(store)
    await see(store, 1, ONE)
    await see(store, 1, OTHER, Lane("elsewhere"))

    states = [(await crash(store, job, ONE)).state for _ in range(2)]

    assert states == [State.QUEUED, State.DEAD]


async def test_a_budget_of_one_leaves_no_doubt(store: Store) -> None:
    job = await put(store)
    await see(store, 1, OTHER)

    assert (await crash(store, job, ONE, RetryPolicy(losses=1))).state is State.DEAD


async def test_failures_of_another_kind_blame_no_worker(store: Store) -> None:
    """It failed on the other for its own reasons; that is no loss there."""
    job = await put(store)
    await see(store, 1, ONE)
    await see(store, 1, OTHER)
    policy = RetryPolicy(losses=2, base=timedelta(0))
    (held,) = await taken(store, job, worker=OTHER)
    await record(store, [a_failure(held, "transient")], policy=policy, random=ANY)
    await queue_due(store, path=PATH, limit=10)

    states = [(await crash(store, job, ONE)).state for _ in range(2)]

    assert states == [State.QUEUED, State.QUEUED]
