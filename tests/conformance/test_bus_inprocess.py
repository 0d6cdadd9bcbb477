"""The in-process bus keeps what a bus promises."""

from __future__ import annotations

import asyncio

import pytest

from headrace.adapters.bus.inprocess import InProcessBus
from headrace.adapters.bus.inprocess.queue import Letter, LocalQueue
from headrace.contracts.topology import Topology
from headrace.core.ports.bus import Parcel, Sent
from headrace.testkit.conformance.bus import BusSuite


class TestInProcessBus(BusSuite):
    @pytest.fixture
    def topology(self) -> Topology:
        return Topology("local")

    @pytest.fixture
    def bus(self, topology: Topology) -> InProcessBus:
        return InProcessBus(topology, publish_timeout_s=0.1)


async def test_a_full_queue_makes_the_sender_wait_and_then_say_unknown() -> None:
    bus = InProcessBus(queue_bound=2, publish_timeout_s=0.05)
    await bus.declare(["q"])

    outcomes = await bus.send([Parcel("q", b"%d" % number) for number in range(3)])

    assert outcomes == [Sent.KEPT, Sent.KEPT, Sent.UNKNOWN]


async def test_a_sender_goes_on_as_soon_as_there_is_room() -> None:
    bus = InProcessBus(queue_bound=1, publish_timeout_s=5)
    await bus.declare(["q"])

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        sending = group.create_task(bus.send([Parcel("q", b"1"), Parcel("q", b"2")]))
        async with bus.receive("q", prefetch=2) as deliveries:
            found = [(await anext(deliveries)).body, (await anext(deliveries)).body]

    assert found == [b"1", b"2"]
    assert sending.result() == [Sent.KEPT, Sent.KEPT]


async def test_a_taker_cancelled_as_a_letter_reaches_it_loses_nothing() -> None:
    queue = LocalQueue("q", bound=1, returns=None, park=lambda _letter, _why: None)
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(queue.take())
        await asyncio.sleep(0)
        queue.push(Letter(b"x", {}))
        taking.cancel()

    async with asyncio.timeout(5):
        again = await queue.take()

    assert again == Letter(b"x", {})
