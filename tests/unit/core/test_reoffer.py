"""What the bus has lost is offered again; what merely lies there, because all are busy, is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from headrace.adapters.bus.inprocess import InProcessBus
from headrace.contracts.ids import Lane
from headrace.contracts.topology import Topology
from headrace.core.job import Job
from headrace.core.ports.bus import Bus
from headrace.core.ports.store import Store
from headrace.core.ports.streams import Batch
from headrace.core.usecases.choose import Turns
from headrace.core.usecases.lane_queues import LaneQueues
from headrace.core.usecases.release import Outlet, Window, release, reoffer
from headrace.testkit.deciding import LANE, PATH, empty, offers, outbox, put, taken
from headrace.testkit.unruly import UnrulyBus
from headrace.testkit.waits import eventually

TOPOLOGY = Topology("test")
WORK = TOPOLOGY.work(LANE)
ALL = timedelta(seconds=-1)  # older than the future: every offer is old enough


@pytest.fixture
async def bus() -> Bus:
    bus = InProcessBus(TOPOLOGY)
    await bus.declare([WORK])
    return bus


async def silent(batches: Sequence[Batch]) -> None:
    """Watchers are of no concern here."""


async def offered(store: Store, bus: Bus, count: int = 1, lane: Lane = LANE) -> list[Job]:
    jobs = [await put(store, lane=lane) for _ in range(count)]
    window = Window(least=100)
    outlet = Outlet(PATH, bus, TOPOLOGY, silent, LaneQueues(bus, TOPOLOGY))
    assert await release(store, outlet, path=PATH, window=window, turns=Turns()) == count
    return jobs


async def offer_again(store: Store, bus: Bus, older_than: timedelta = ALL) -> int:
    outlet = Outlet(PATH, bus, TOPOLOGY, silent, LaneQueues(bus, TOPOLOGY))
    return await reoffer(store, outlet, paths=[PATH], older_than=older_than, limit=100)


async def now(store: Store) -> datetime:
    async with store.begin() as tx:
        return await tx.now()


async def a_moment_later(store: Store) -> datetime:
    """A time after all that has happened, on a clock that counts milliseconds."""
    before = await now(store)

    async def later() -> datetime | None:
        time = await now(store)
        return time if time > before else None

    found = await eventually(later, every=0.001)
    assert found is not None
    return found


async def test_what_lies_in_the_queue_is_left_there(store: Store, bus: Bus) -> None:
    await offered(store, bus, 3)

    assert await offer_again(store, bus) == 0
    assert await outbox(store) == []


async def test_all_that_a_wiped_queue_held_is_offered_again(store: Store, bus: Bus) -> None:
    jobs = await offered(store, bus, 3)
    await empty(bus, WORK)

    assert await offer_again(store, bus) == 3
    assert {row.job for row in await outbox(store)} == {job.id for job in jobs}


async def test_a_new_bus_without_the_queue_is_a_wiped_one(store: Store, bus: Bus) -> None:
    await offered(store, bus, 2)

    assert await offer_again(store, InProcessBus(TOPOLOGY)) == 2


async def test_as_many_as_are_missing_are_offered_again_the_oldest_first(
    store: Store, bus: Bus
) -> None:
    first = await offered(store, bus)
    await empty(bus, WORK)
    await offered(store, bus, 2)

    assert await offer_again(store, bus) == 1
    assert [row.job for row in await outbox(store)] == [first[0].id]


async def test_a_lost_offer_is_found_behind_newer_ones_that_keep_its_queue_filled(
    store: Store, bus: Bus
) -> None:
    lost = await offered(store, bus)
    await empty(bus, WORK)
    since_then = await a_moment_later(store)
    await offered(store, bus, 2)
    age = await now(store) - since_then

    assert await offer_again(store, bus, older_than=age) == 1
    assert [row.job for row in await outbox(store)] == [lost[0].id]


async def test_what_was_claimed_is_not_missing(store: Store, bus: Bus) -> None:
    first, *_ = await offered(store, bus, 2)
    async with bus.receive(WORK, prefetch=1) as deliveries:
        await (await anext(deliveries)).ack()
    await taken(store, first)

    assert await offer_again(store, bus) == 0


async def test_young_offers_are_on_their_way(store: Store, bus: Bus) -> None:
    await offered(store, bus, 2)
    await empty(bus, WORK)

    assert await offer_again(store, bus, older_than=timedelta(minutes=1)) == 0


async def test_each_lane_is_counted_for_itself(store: Store, bus: Bus) -> None:
    (drawn,) = await offered(store, bus, lane=Lane("flow"))
    await offered(store, bus, 2)
    await empty(bus, TOPOLOGY.work(Lane("flow")))

    assert await offer_again(store, bus) == 1
    assert [row.job for row in await outbox(store, Lane("flow"))] == [drawn.id]


async def test_what_is_offered_again_leaves_with_the_next_release(store: Store, bus: Bus) -> None:
    (job,) = await offered(store, bus)
    await empty(bus, WORK)
    await offer_again(store, bus)

    outlet = Outlet(PATH, bus, TOPOLOGY, silent, LaneQueues(bus, TOPOLOGY))
    assert await release(store, outlet, path=PATH, window=Window(), turns=Turns()) == 1
    assert [offer.job for offer in await offers(bus, WORK)] == [job.id]


async def test_a_lane_whose_queue_is_wrong_is_left_alone_and_others_are_looked_after(
    store: Store, bus: Bus
) -> None:
    unruly = UnrulyBus(bus)
    await offered(store, bus)
    (drawn,) = await offered(store, bus, lane=Lane("flow"))
    await empty(bus, WORK)
    await empty(bus, TOPOLOGY.work(Lane("flow")))
    unruly.wrong.add(WORK)

    assert await offer_again(store, unruly) == 1
    assert [row.job for row in await outbox(store, Lane("flow"))] == [drawn.id]


async def test_old_offers_of_one_lane_do_not_hide_those_of_another(store: Store, bus: Bus) -> None:
    await offered(store, bus, 5)  # older, and still in their queue: all slots are busy
    (drawn,) = await offered(store, bus, lane=Lane("flow"))
    await empty(bus, TOPOLOGY.work(Lane("flow")))

    outlet = Outlet(PATH, bus, TOPOLOGY, silent, LaneQueues(bus, TOPOLOGY))
    assert await reoffer(store, outlet, paths=[PATH], older_than=ALL, limit=3) == 1
    assert [row.job for row in await outbox(store, Lane("flow"))] == [drawn.id]
