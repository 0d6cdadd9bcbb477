"""Offers leave fairly, no more than can be taken soon, and none is forgotten if its sending fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from headrace.adapters.bus.inprocess import InProcessBus
from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.contracts.ids import START, Lane, TenantId, WorkerId
from headrace.contracts.messages import Offer
from headrace.contracts.producing import OUTSIDE
from headrace.contracts.topology import Topology
from headrace.core.errors import Unavailable
from headrace.core.job import Job
from headrace.core.ports.bus import TENANT_HEADER, Sent
from headrace.core.ports.store import Store
from headrace.core.ports.streams import Batch
from headrace.core.usecases.choose import Turns
from headrace.core.usecases.claim import claim
from headrace.core.usecases.lane_queues import LaneQueues
from headrace.core.usecases.release import Outlet, Window, release
from headrace.testkit.deciding import (
    LANE,
    LEASE,
    PATH,
    WORKER,
    a_claim,
    offers,
    outbox,
    outstanding,
    put,
    read,
    see,
    told,
)
from headrace.testkit.unruly import UnrulyBus, UnrulyStore

TOPOLOGY = Topology("test")
WORK = TOPOLOGY.work(LANE)
AT_ONCE = Window(reserve_for=timedelta(0))  # a reservation lapses as soon as it is made


@dataclass
class Room:
    """The store, the bus, and what watchers were told."""

    store: UnrulyStore
    bus: UnrulyBus
    told: list[Batch] = field(default_factory=list)
    turns: Turns = field(default_factory=Turns)
    clock: float = 0.0
    troubles: list[tuple[Lane, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        def changed(lane: Lane, trouble: str | None) -> None:
            self.troubles.append((lane, trouble))

        self.queues = LaneQueues(self.bus, TOPOLOGY, changed, lambda: self.clock)

    async def release(self, window: Window = AT_ONCE) -> int:
        outlet = Outlet(PATH, self.bus, TOPOLOGY, self.announce, self.queues)
        return await release(self.store, outlet, path=PATH, window=window, turns=self.turns)

    async def announce(self, batches: Sequence[Batch]) -> None:
        self.told += batches

    async def put(self, count: int = 1, **fields: Any) -> list[Job]:
        return [await put(self.store, **fields) for _ in range(count)]

    async def offered(self, lane: Lane = LANE) -> list[str]:
        return [offer.job for offer in await offers(self.bus, TOPOLOGY.work(lane))]


@pytest.fixture
async def room(store: Store) -> Room:
    room = Room(UnrulyStore(store), UnrulyBus(InProcessBus(TOPOLOGY)))
    await room.bus.declare([WORK])
    return room


def ids(jobs: Sequence[Job]) -> list[str]:
    return [job.id for job in jobs]


async def test_an_offer_names_the_job_its_epoch_and_its_lane_and_carries_trace_and_tenant(
    room: Room,
) -> None:
    (job,) = await room.put(trace="00-submit-01", input={"text": "a secret"})

    assert await room.release() == 1

    (parcel,) = room.bus.sent
    assert parcel.headers == {"traceparent": "00-submit-01", TENANT_HEADER: "tenant"}
    assert await offers(room.bus, WORK) == [Offer(job=job.id, epoch=0, lane=LANE)]
    assert b"secret" not in parcel.body


async def test_nothing_waiting_is_nothing_sent(room: Room) -> None:
    assert await room.release() == 0
    assert room.bus.sent == []


async def test_what_was_offered_is_not_offered_again(room: Room) -> None:
    await room.put(2)

    assert await room.release() == 2
    assert await room.release() == 0
    assert await outstanding(room.store) == 2


async def test_without_a_worker_in_sight_a_few_are_offered(room: Room) -> None:
    await room.put(5)

    assert await room.release(Window(least=2)) == 2


@pytest.mark.parametrize(("slots", "offered"), [(1, 2), (3, 6), (40, 8)])
async def test_the_window_follows_the_slots_up_to_a_bound(
    room: Room, slots: int, offered: int
) -> None:
    await room.put(10)
    await see(room.store, slots)

    assert await room.release(Window(per_slot=2, most=8)) == offered


async def test_the_slots_of_all_workers_of_a_lane_count(room: Room) -> None:
    await room.put(10)
    await see(room.store, 1, WorkerId("one"))
    await see(room.store, 2, WorkerId("two"))
    await see(room.store, 9, WorkerId("of another lane"), Lane("flow"))

    assert await room.release() == 6


async def test_a_worker_that_fell_silent_does_not_count(room: Room) -> None:
    await room.put(10)
    await see(room.store, 4)

    assert await room.release(Window(worker_seen_within=timedelta(seconds=-1))) == 2


async def test_a_worker_that_drains_does_not_count(room: Room) -> None:
    await see(room.store, slots=5)
    async with room.store.begin() as tx:
        await tx.ask_drain(WORKER, drain=True)
    await room.put(5)

    assert await room.release() == Window().least


async def test_a_claim_makes_room_for_the_next(room: Room) -> None:
    first, *_ = await room.put(5)
    await room.release()

    await claim(room.store, WORKER, [a_claim(first)], lease=LEASE)

    assert await room.release() == 1


async def test_the_highest_priority_goes_first_then_the_oldest(room: Room) -> None:
    usual, usual_too = await room.put(2)
    (urgent,) = await room.put(priority=9)

    await room.release(Window(least=3))

    assert await room.offered() == ids([urgent, usual, usual_too])


async def test_tenants_take_turns_however_long_one_s_queue_is(room: Room) -> None:
    many = await room.put(6, tenant=TenantId("a"))
    few = await room.put(2, tenant=TenantId("b"))

    await room.release(Window(least=4))

    assert await room.offered() == ids([many[0], few[0], many[1], few[1]])


async def test_whose_turn_it_is_is_remembered_from_window_to_window(room: Room) -> None:
    of_a = await room.put(3, tenant=TenantId("a"))
    of_b = await room.put(3, tenant=TenantId("b"))
    of_c = await room.put(3, tenant=TenantId("c"))
    one = Window(least=1)

    order = []
    for _ in range(4):
        await room.release(one)
        (offered,) = await room.offered()
        order.append(offered)
        job = next(job for job in (*of_a, *of_b, *of_c) if job.id == offered)
        await claim(room.store, WORKER, [a_claim(job, f"claim-{job.id}")], lease=LEASE)

    assert order == ids([of_a[0], of_b[0], of_c[0], of_a[1]])


async def test_every_lane_has_its_own_window(room: Room) -> None:
    await room.put(3)
    (drawn,) = await room.put(lane=Lane("flow"))

    assert await room.release() == 3
    assert await room.offered(Lane("flow")) == [drawn.id]


async def test_jobs_of_another_path_are_left_alone(room: Room) -> None:
    await room.put(path="distributed")

    assert await room.release() == 0


async def test_what_the_bus_did_not_take_is_offered_again_at_once(room: Room) -> None:
    jobs = await room.put(2)
    room.bus.answer([Sent.UNROUTABLE, Sent.KEPT])

    assert await room.release(Window(reserve_for=LEASE)) == 1
    assert [row.job for row in await outbox(room.store)] == [jobs[0].id]
    assert await room.release(Window(reserve_for=LEASE)) == 1
    assert await room.offered() == ids([jobs[1], jobs[0]])


async def test_what_may_have_been_sent_is_offered_again_when_its_reservation_lapses(
    room: Room,
) -> None:
    (job,) = await room.put()
    room.bus.answer([Sent.UNKNOWN])

    assert await room.release() == 0
    assert await room.release() == 1
    assert await room.offered() == [job.id]


async def test_what_may_have_been_sent_is_not_offered_before_that(room: Room) -> None:
    await room.put()
    room.bus.answer([Sent.UNKNOWN])

    await room.release(Window(reserve_for=LEASE))

    assert await room.release(Window(reserve_for=LEASE)) == 0
    assert await outstanding(room.store) == 1  # it fills its place in the window meanwhile


async def test_a_crash_between_sending_and_marking_offers_twice_and_the_claim_settles_it(
    room: Room,
) -> None:
    (job,) = await room.put()
    room.store.break_at(room.store.begun + 2)  # the first reserves, the second marks

    with pytest.raises(Unavailable):
        await room.release()
    assert await room.release() == 1

    assert await room.offered() == [job.id, job.id]
    claimed = await claim(
        room.store, WORKER, [a_claim(job, "one"), a_claim(job, "two")], lease=LEASE
    )
    assert [type(answer).__name__ for answer in claimed.answers] == ["Grant", "Refusal"]
    assert (await read(room.store, job.id)).attempt == 1


async def test_a_claim_that_is_faster_than_the_mark_is_not_undone_by_it(room: Room) -> None:
    (job,) = await room.put()

    async def claim_it(batches: Sequence[Batch]) -> None:
        await claim(room.store, WORKER, [a_claim(job)], lease=LEASE)

    outlet = Outlet(PATH, room.bus, TOPOLOGY, claim_it, room.queues)
    await release(room.store, outlet, path=PATH, window=AT_ONCE, turns=room.turns)

    assert (await read(room.store, job.id)).worker == WORKER
    assert await outstanding(room.store) == 0
    assert await outbox(room.store) == []


async def test_watchers_are_told_before_the_offer_leaves(room: Room) -> None:
    (job,) = await room.put()
    sent_before: list[int] = []

    async def announce(batches: Sequence[Batch]) -> None:
        sent_before.append(len(room.bus.sent))
        assert told(batches) == [(job.id, 0, "queued")]

    outlet = Outlet(PATH, room.bus, TOPOLOGY, announce, room.queues)
    await release(room.store, outlet, path=PATH, window=AT_ONCE, turns=room.turns)

    assert sent_before == [0]
    assert len(room.bus.sent) == 1


async def test_a_later_attempt_is_not_told_as_queued_again(room: Room) -> None:
    await room.put(epoch=2)

    await room.release()

    assert told(room.told) == []
    assert len(room.bus.sent) == 1


async def test_watchers_are_told_once_that_a_job_is_queued_however_often_it_is_offered(
    room: Room,
) -> None:
    (job,) = await room.put()
    room.bus.answer([Sent.UNKNOWN, Sent.UNKNOWN])
    for _ in range(3):
        await room.release()

    streams = InProcessStreams()
    await streams.append(room.told)

    log = await streams.read(job.id, START, limit=10)
    assert len(room.bus.sent) == 3
    assert [entry.type for entry in log.entries] == ["queued"]


FLOW = Lane("flow")


async def test_a_lane_whose_queue_is_wrong_holds_up_no_other(room: Room) -> None:
    (stuck,) = await room.put()
    (goes,) = await room.put(lane=FLOW)
    room.bus.wrong.add(WORK)

    assert await room.release() == 1

    assert await room.offered(FLOW) == [goes.id]
    assert [row.job for row in await outbox(room.store)] == [stuck.id]


async def test_what_is_wrong_with_a_lane_is_told_once_and_kept_until_it_is_mended(
    room: Room,
) -> None:
    (job,) = await room.put()
    room.bus.wrong.add(WORK)
    for _ in range(3):
        assert await room.release() == 0
        room.clock += 60
    kept = await troubles(room.store)
    room.bus.wrong.clear()
    assert await room.release() == 1

    ((_, trouble), (lane, none)) = room.troubles
    assert (lane, none) == (LANE, None)
    assert trouble is not None
    assert kept == {LANE: trouble}
    assert await troubles(room.store) == {}
    assert await room.offered() == [job.id]


async def test_a_wrong_queue_is_not_asked_about_at_every_turn(room: Room) -> None:
    await room.put()
    room.bus.wrong.add(WORK)
    for _ in range(5):
        await room.release()
    room.bus.wrong.clear()

    assert await room.release() == 0
    room.clock += 60
    assert await room.release() == 1


async def troubles(store: Store) -> dict[Lane, str]:
    async with store.begin() as tx:
        return await tx.troubles()


async def test_what_a_producer_outside_works_on_is_offered_to_nobody(room: Room) -> None:
    (job,) = await room.put(lane=OUTSIDE)

    assert await room.release() == 0

    assert room.told == []
    assert [row.job for row in await outbox(room.store, OUTSIDE)] == [job.id]
