"""A heartbeat renews what its worker holds, and its answer says what to stop."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from headrace.contracts.ids import WorkerId
from headrace.contracts.messages import Heartbeat, Heartbeats, Orders, Vitals
from headrace.core.job import Job
from headrace.core.ports.store import Store, WorkerRecord
from headrace.core.usecases.cancel import ask_cancel, honour_cancels
from headrace.core.usecases.heartbeat import heartbeat
from headrace.core.usecases.record import record
from headrace.testkit.builders import a_job
from headrace.testkit.deciding import (
    ANY,
    LANE,
    LEASE,
    OVER,
    PATH,
    POLICY,
    WORKER,
    a_result,
    put,
    read,
    running,
    taken,
)


async def beat(store: Store, *beats: Heartbeat, **fields: Any) -> Orders:
    usual = {"worker": WORKER, "reply_to": "mailbox", "sequence": 7, "slots": {LANE: 2}}
    message = Heartbeats(**{**usual, "heartbeats": list(beats), **fields})
    return await heartbeat(store, message, path=PATH, lease=LEASE)


def alive(job: Job, **fields: Any) -> Heartbeat:
    return Heartbeat(**{"job": job.id, "epoch": job.epoch, **fields})


async def the_order(store: Store, each: Heartbeat, **fields: Any) -> str:
    (order,) = (await beat(store, each, **fields)).orders
    assert (order.job, order.epoch) == (each.job, each.epoch)
    return order.order


async def seen(store: Store) -> list[WorkerRecord]:
    async with store.begin() as tx:
        return await tx.workers(seen_after=await tx.now() - timedelta(minutes=1))


async def test_what_a_worker_holds_goes_on_and_its_lease_is_renewed(store: Store) -> None:
    job = await running(store, lease=OVER)  # late, and not yet given to another

    assert await the_order(store, alive(job)) == "go"

    async with store.begin() as tx:
        now = await tx.now()
        assert await tx.expired_leases(PATH, limit=10) == []
    renewed = await read(store, job.id)
    assert renewed.lease_until is not None
    assert now < renewed.lease_until <= now + LEASE


async def test_a_worker_is_told_to_stop_what_shall_end_and_keeps_it_until_then(
    store: Store,
) -> None:
    job = await running(store, lease=OVER)
    await ask_cancel(store, job.tenant, job.id)
    await honour_cancels(store, path=PATH, limit=10)

    assert await the_order(store, alive(job)) == "cancel"
    async with store.begin() as tx:
        assert await tx.expired_leases(PATH, limit=10) == []


async def test_what_has_ended_is_lost(store: Store) -> None:
    job = await running(store)
    await record(store, [a_result(job)], policy=POLICY, random=ANY)

    assert await the_order(store, alive(job)) == "lost"


async def test_what_another_holds_is_lost_and_stays_the_other_s(store: Store) -> None:
    job = await running(store)

    assert await the_order(store, alive(job), worker=WorkerId("another")) == "lost"
    assert await the_order(store, alive(job)) == "go"


async def test_an_epoch_that_is_over_is_lost_even_to_the_same_worker(store: Store) -> None:
    before = await running(store)
    await record(store, [a_result(before, "released")], policy=POLICY, random=ANY)
    (now,) = await taken(store, await read(store, before.id))

    assert await the_order(store, alive(before)) == "lost"
    assert await the_order(store, alive(now)) == "go"


async def test_what_was_never_granted_is_lost(store: Store) -> None:
    assert await the_order(store, alive(await put(store))) == "lost"
    assert await the_order(store, alive(a_job())) == "lost"


async def test_orders_answer_each_heartbeat_in_its_place(store: Store) -> None:
    held, waits, also = await running(store), await put(store), await running(store)

    orders = await beat(store, alive(held), alive(waits), alive(also))

    assert [(order.job, order.order) for order in orders.orders] == [
        (held.id, "go"),
        (waits.id, "lost"),
        (also.id, "go"),
    ]
    assert (orders.sequence, orders.lease_s) == (7, LEASE.total_seconds())


async def test_progress_is_kept_and_no_news_does_not_wipe_it(store: Store) -> None:
    job = await running(store)

    await beat(store, alive(job, fraction=0.25))
    await beat(store, alive(job))

    assert (await read(store, job.id)).progress == 0.25


async def test_an_idle_worker_is_seen_with_its_slots(store: Store) -> None:
    orders = await beat(store, slots={LANE: 3, "flow": 1})

    (worker,) = await seen(store)
    assert (worker.id, worker.slots) == (WORKER, {LANE: 3, "flow": 1})
    assert orders.orders == []


async def test_who_was_asked_to_drain_is_told_by_whichever_dispatcher_answers(store: Store) -> None:
    before = await beat(store)
    async with store.begin() as tx:
        await tx.ask_drain(WORKER, drain=True)

    # Nothing of it is in a process: a dispatcher that has just started says the same.
    answers = [await beat(store, sequence=sequence) for sequence in (8, 9)]

    assert (before.drain, [answer.drain for answer in answers]) == (False, [True, True])


async def test_a_worker_of_an_older_build_is_heard_and_answered_as_ever(store: Store) -> None:
    said = Vitals(memory_bytes=1, order_s=2.0)
    await beat(store, vitals=said)

    await beat(store, vitals=None)

    async with store.begin() as tx:
        (member,) = await tx.fleet(limit=10)
    assert member.vitals == said
