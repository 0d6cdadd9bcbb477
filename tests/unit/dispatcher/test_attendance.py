"""A path that its dispatchers have left is served by who is left, and by nobody else."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from headrace.adapters.bus.inprocess.bus import InProcessBus
from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.contracts.ids import WorkerId
from headrace.contracts.topology import Topology
from headrace.core.job import State
from headrace.core.ports.paths import DISTRIBUTED, LOCAL
from headrace.core.ports.store import Store
from headrace.dispatcher.attendance import Attendance
from headrace.dispatcher.loops import Wake
from headrace.dispatcher.options import DispatcherOptions, Ports
from headrace.dispatcher.releasing import Releaser
from headrace.dispatcher.sweeping import Sweeper
from headrace.testkit.deciding import LANE, OVER, WORKER, offers, put, read, running
from headrace.testkit.memory_blobs import MemoryBlobs

TOPOLOGY = Topology("test")
WORK = TOPOLOGY.work(LANE)
LEASE_S = 30.0
OTHER = WorkerId("worker-2")


@dataclass
class Side:
    """The parts of a dispatcher of one path, with a bus of its own and a clock that the test sets."""

    store: Store
    path: str = LOCAL
    now: float = 1_000.0
    bus: InProcessBus = field(default_factory=lambda: InProcessBus(TOPOLOGY))

    def __post_init__(self) -> None:
        options = DispatcherOptions(
            path=self.path, lease=timedelta(seconds=LEASE_S), monotonic=lambda: self.now
        )
        streams = InProcessStreams()
        ports = Ports(self.store, self.bus, streams, MemoryBlobs())
        self.attendance = Attendance(self.store, options, Wake())
        self.releaser = Releaser(ports, TOPOLOGY, options, self.attendance)
        self.sweeper = Sweeper(self.store, self.bus, streams, options, self.releaser, Wake())

    async def attend(self, *, after_s: float = 0.0) -> tuple[str, ...]:
        self.now += after_s
        await self.attendance.turn()
        return self.attendance.paths

    async def been_here(self) -> tuple[str, ...]:
        """For a lease, without a break."""
        for _ in range(6):
            await self.attend(after_s=LEASE_S / 6)
        return await self.attend(after_s=LEASE_S / 6)


async def vouched_for(store: Store, path: str, for_: timedelta) -> None:
    async with store.begin() as tx:
        await tx.attend(path, until=await tx.now() + for_)


async def test_a_path_without_a_dispatcher_is_served_by_the_other(store: Store) -> None:
    here = Side(store)
    job = await put(store, path=DISTRIBUTED)

    paths = await here.been_here()
    await here.releaser.turn()

    assert paths == (LOCAL, DISTRIBUTED)
    assert [offer.job for offer in await offers(here.bus, WORK)] == [job.id]


async def test_a_path_with_a_dispatcher_of_its_own_is_left_to_it(store: Store) -> None:
    here = Side(store)
    await here.bus.declare([WORK])
    await put(store, path=DISTRIBUTED)
    await vouched_for(store, DISTRIBUTED, timedelta(minutes=1))

    paths = await here.been_here()
    await here.releaser.turn()

    assert paths == (LOCAL,)
    assert await offers(here.bus, WORK) == []


async def test_a_path_on_which_nothing_waits_costs_no_looks(store: Store) -> None:
    assert await Side(store).been_here() == (LOCAL,)


async def test_who_has_just_come_takes_nobody_for_gone(store: Store) -> None:
    here = Side(store)
    await put(store, path=DISTRIBUTED)

    at_once = await here.attend()
    soon = await here.attend(after_s=LEASE_S - 1)

    assert at_once == soon == (LOCAL,)


async def test_after_a_break_of_its_own_it_takes_nobody_for_gone(store: Store) -> None:
    here = Side(store)
    await put(store, path=DISTRIBUTED)
    before = await here.been_here()

    after = await here.attend(after_s=LEASE_S + 1)

    assert before == (LOCAL, DISTRIBUTED)
    assert after == (LOCAL,), "the other may be on its way back from the same outage"


async def test_it_lets_go_of_a_path_whose_dispatchers_are_back(store: Store) -> None:
    here = Side(store)
    await put(store, path=DISTRIBUTED)
    await here.been_here()

    await Side(store, path=DISTRIBUTED).attend()

    assert await here.attend(after_s=LEASE_S / 6) == (LOCAL,)


async def test_offers_that_lie_on_the_bus_of_those_who_left_are_repeated(store: Store) -> None:
    gone, here = Side(store, path=DISTRIBUTED), Side(store)
    theirs = await put(store, path=DISTRIBUTED)
    await gone.releaser.turn()
    ours = await put(store)
    await here.releaser.turn()

    await here.been_here()
    await here.releaser.turn()

    assert {offer.job for offer in await offers(here.bus, WORK)} == {ours.id, theirs.id}


async def test_jobs_that_ran_there_are_swept_when_their_leases_are_over(store: Store) -> None:
    here = Side(store)
    job = await running(store, path=DISTRIBUTED, lease=OVER)
    await here.sweeper.turn()
    await here.been_here()

    await here.sweeper.turn()

    assert (await read(store, job.id)).state is State.QUEUED


async def test_while_the_other_is_there_its_leases_are_its_own_to_judge(store: Store) -> None:
    here = Side(store)
    job = await running(store, path=DISTRIBUTED, lease=OVER)
    await vouched_for(store, DISTRIBUTED, timedelta(minutes=1))
    await here.sweeper.turn()
    await here.been_here()

    await here.sweeper.turn()

    assert (await read(store, job.id)).state is State.RUNNING


async def test_a_window_counts_the_slots_of_its_own_side(store: Store) -> None:
    here = Side(store)
    async with store.begin() as tx:
        await tx.see_worker(WORKER, {LANE: 50}, path=DISTRIBUTED)
        await tx.see_worker(OTHER, {LANE: 2}, path=LOCAL)
    for _ in range(10):
        await put(store)

    await here.releaser.turn()

    assert len(await offers(here.bus, WORK)) == 4
