"""The sweeper finds what was lost, and gives those a hearing whom an outage has kept silent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

import pytest
from prometheus_client import REGISTRY
from typing_extensions import override

from headrace.adapters.bus.inprocess.bus import InProcessBus
from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.contracts.topology import Topology
from headrace.core.errors import Unavailable
from headrace.core.job import State
from headrace.core.ports.store import Store
from headrace.core.retry import RetryPolicy
from headrace.dispatcher.attendance import Attendance
from headrace.dispatcher.loops import Wake
from headrace.dispatcher.options import DispatcherOptions, Ports
from headrace.dispatcher.releasing import Releaser
from headrace.dispatcher.sweeping import Sweeper
from headrace.testkit.deciding import OVER, PATH, read, running
from headrace.testkit.memory_blobs import MemoryBlobs

TOPOLOGY = Topology("test")
LEASE_S = 30.0


class Reachable(InProcessBus):
    away = False

    @override
    async def ping(self) -> None:
        if self.away:
            raise Unavailable("the bus", "a test says so")


@dataclass
class Sweeping:
    """A sweeper, its bus, and a clock that the test sets."""

    store: Store
    bus: Reachable = field(default_factory=lambda: Reachable(TOPOLOGY))
    now: float = 1_000.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def __post_init__(self) -> None:
        options = DispatcherOptions(
            path=PATH,
            lease=timedelta(seconds=LEASE_S),
            retry=self.retry,
            monotonic=lambda: self.now,
        )
        streams = InProcessStreams()
        ports = Ports(self.store, self.bus, streams, MemoryBlobs())
        attendance = Attendance(self.store, options, Wake())
        releaser = Releaser(ports, TOPOLOGY, options, attendance)
        self.sweeper = Sweeper(self.store, self.bus, streams, options, releaser, Wake())

    async def turn(self, *, after_s: float = 0.0) -> None:
        self.now += after_s
        await self.sweeper.turn()

    async def outage(self, seconds: float) -> None:
        self.bus.away = True
        for turn in count():
            with pytest.raises(Unavailable):
                await self.turn(after_s=0.0 if turn == 0 else 5.0)
            if turn * 5.0 >= seconds:
                break
        self.bus.away = False

    async def begin(self) -> None:
        await self.turn()
        await self.turn(after_s=LEASE_S)


async def test_a_job_whose_lease_ran_out_goes_back_to_its_queue(store: Store) -> None:
    sweeping = Sweeping(store)
    await sweeping.begin()
    job = await running(store, lease=OVER)

    await sweeping.turn(after_s=5.0)

    assert (await read(store, job.id)).state is State.QUEUED


async def test_a_sweeper_that_begins_hears_first_what_was_said_before_it(store: Store) -> None:
    job = await running(store, lease=OVER)
    sweeping = Sweeping(store)

    await sweeping.turn()
    await sweeping.turn(after_s=LEASE_S - 1)
    spared = await read(store, job.id)
    await sweeping.turn(after_s=1)

    assert spared.state is State.RUNNING
    assert (await read(store, job.id)).state is State.QUEUED


async def test_after_an_outage_leases_are_judged_one_lease_later(store: Store) -> None:
    sweeping = Sweeping(store)
    await sweeping.begin()
    job = await running(store, lease=OVER)

    await sweeping.outage(LEASE_S)
    await sweeping.turn(after_s=1.0)
    spared = await read(store, job.id)
    await sweeping.turn(after_s=LEASE_S)

    assert spared.state is State.RUNNING, "its result may be on its way"
    assert (await read(store, job.id)).state is State.QUEUED


async def test_a_hiccup_puts_nothing_off(store: Store) -> None:
    sweeping = Sweeping(store)
    await sweeping.begin()
    job = await running(store, lease=OVER)

    await sweeping.outage(0)
    await sweeping.turn(after_s=5.0)

    assert (await read(store, job.id)).state is State.QUEUED


async def test_a_job_that_dies_of_silence_is_counted_as_any_other(store: Store) -> None:
    sweeping = Sweeping(store, retry=RetryPolicy(losses=1))
    await running(store, lease=OVER)
    before = counted()

    await sweeping.begin()

    assert [after - then for after, then in zip(counted(), before, strict=True)] == [1, 1]


def counted() -> list[float]:
    """Dead letters of jobs, and jobs that died."""
    return [
        REGISTRY.get_sample_value("headrace_dead_letters_total", {"source": "job"}) or 0,
        REGISTRY.get_sample_value("headrace_jobs_ended_total", {"state": "dead"}) or 0,
    ]
