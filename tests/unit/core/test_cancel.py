"""A wish to cancel is kept once, and made good on: at once for what waits, by its worker for what runs."""

from __future__ import annotations

import pytest

from headrace.contracts.ids import TenantId, WorkerId
from headrace.contracts.messages import Order
from headrace.core.errors import JobNotFound
from headrace.core.job import Job, State
from headrace.core.ports.store import Store
from headrace.core.usecases.cancel import Honoured, ask_cancel, honour_cancels
from headrace.core.usecases.record import record
from headrace.testkit.builders import a_job
from headrace.testkit.deciding import (
    ANY,
    PATH,
    POLICY,
    WORKER,
    a_result,
    outbox,
    put,
    read,
    running,
    taken,
    told,
)

NOTHING = Honoured([], [], [])


async def honoured(store: Store) -> Honoured:
    return await honour_cancels(store, path=PATH, limit=10)


async def wished(store: Store, job: Job) -> Job:
    return await ask_cancel(store, job.tenant, job.id)


@pytest.mark.parametrize("state", [State.QUEUED, State.SCHEDULED])
async def test_what_waits_ends_at_once_and_is_announced(store: Store, state: State) -> None:
    job = await put(store, state=state)

    await wished(store, job)
    done = await honoured(store)

    after = await read(store, job.id)
    assert after.state is State.CANCELLED
    assert after.finished_at is not None
    assert told(done.announcements) == [(job.id, after.epoch, "cancelled")]
    assert done.hints == []
    assert await outbox(store) == []


async def test_what_runs_is_left_to_its_worker_who_is_told(store: Store) -> None:
    job = await running(store)

    await wished(store, job)
    done = await honoured(store)

    after = await read(store, job.id)
    assert (after.state, after.epoch) == (State.CANCELLING, job.epoch)
    assert done.announcements == []  # its worker numbers the frames of its epoch
    assert done.hints == [(WORKER, Order(job=job.id, epoch=job.epoch, order="cancel"))]


async def test_a_wish_is_made_good_on_once(store: Store) -> None:
    await wished(store, await running(store))
    await wished(store, await put(store))

    await honoured(store)
    again = await honoured(store)

    assert again == NOTHING


async def test_asking_twice_keeps_the_first_time(store: Store) -> None:
    job = await put(store)

    first = await wished(store, job)
    again = await wished(store, job)

    assert first.cancel_asked_at is not None
    assert again.cancel_asked_at == first.cancel_asked_at


async def test_asking_after_the_end_changes_nothing(store: Store) -> None:
    job = await running(store)
    await record(store, [a_result(job, output={"text": "done"})], policy=POLICY, random=ANY)
    ended = await read(store, job.id)

    assert await wished(store, job) == ended
    assert await honoured(store) == NOTHING
    assert await read(store, job.id) == ended


async def test_a_job_that_nobody_has_cannot_be_cancelled(store: Store) -> None:
    nobodys = a_job()

    with pytest.raises(JobNotFound) as refused:
        await wished(store, nobodys)

    assert refused.value.job == nobodys.id


async def test_another_tenant_s_job_is_as_if_it_were_not_there(store: Store) -> None:
    job = await put(store)

    with pytest.raises(JobNotFound):
        await ask_cancel(store, TenantId("somebody else"), job.id)

    assert (await read(store, job.id)).cancel_asked_at is None


async def test_each_path_makes_good_on_its_own_wishes(store: Store) -> None:
    elsewhere = await put(store, path="distributed")
    await wished(store, elsewhere)

    assert await honoured(store) == NOTHING
    assert (await read(store, elsewhere.id)).state is State.QUEUED


async def test_no_more_than_the_limit_are_taken(store: Store) -> None:
    for job in (await put(store), await put(store)):
        await wished(store, job)

    done = await honour_cancels(store, path=PATH, limit=1)

    assert len(done.announcements) == 1
    assert len(await outbox(store)) == 1


async def test_a_wish_between_two_attempts_ends_the_job(store: Store) -> None:
    job = await running(store)
    await record(store, [a_result(job, "released")], policy=POLICY, random=ANY)

    await wished(store, job)
    done = await honoured(store)

    assert told(done.announcements) == [(job.id, job.epoch + 1, "cancelled")]
    assert (await read(store, job.id)).state is State.CANCELLED


async def test_two_workers_are_each_told_of_their_own(store: Store) -> None:
    jobs = [await put(store), await put(store)]
    mine, other = [
        (await taken(store, job, worker=WorkerId(name)))[0]
        for job, name in zip(jobs, ("mine", "other"), strict=True)
    ]
    for job in (mine, other):
        await wished(store, job)

    hints = dict((await honoured(store)).hints)

    assert {worker: order.job for worker, order in hints.items()} == {
        "mine": mine.id,
        "other": other.id,
    }
