"""What every bus promises: at least once, nothing confirmed is lost, what is unsettled comes back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from secrets import token_hex

import pytest

from headrace.contracts.topology import Topology
from headrace.core.errors import Unavailable
from headrace.core.ports.bus import Bus
from headrace.testkit.conformance.bus.mailboxes import Mailboxes
from headrace.testkit.conformance.bus.parking import Parking
from headrace.testkit.conformance.bus.receiving import Receiving
from headrace.testkit.conformance.bus.sending import Sending
from headrace.testkit.conformance.bus.steps import listened_to, ready, sent, taken
from headrace.testkit.waits import eventually

__all__ = ["BusSuite"]


class BusSuite(Sending, Receiving, Parking, Mailboxes):
    """Subclass it, and supply `bus` and its `topology`."""

    @pytest.fixture
    async def queue(self, bus: Bus, fresh_queue: Callable[[], str]) -> str:
        name = fresh_queue()
        await bus.declare([name])
        return name

    @pytest.fixture
    def fresh_queue(self, topology: Topology) -> Callable[[], str]:
        return lambda: f"{topology.namespace}.test.{token_hex(6)}"

    async def test_declaring_twice_changes_nothing(self, bus: Bus, queue: str) -> None:
        await sent(bus, queue, b"x")

        await bus.declare([queue, queue])

        await ready(bus, queue, 1)

    async def test_depth_tells_what_waits_and_who_listens(self, bus: Bus, queue: str) -> None:
        await sent(bus, queue, b"1", b"2", b"3")
        await ready(bus, queue, 3)

        async with AsyncExitStack() as stack:
            for _ in range(2):
                deliveries = await stack.enter_async_context(bus.receive(queue, prefetch=2))
                await taken(deliveries)
            both = await eventually(lambda: listened_to(bus, queue, 2))

        assert both.ready <= 1

    async def test_the_depth_of_no_queue_is_unavailable(
        self, bus: Bus, fresh_queue: Callable[[], str]
    ) -> None:
        with pytest.raises(Unavailable, match="no such queue"):
            await bus.depth(fresh_queue())

    async def test_a_bus_that_is_well_answers_a_ping(self, bus: Bus) -> None:
        await bus.ping()

    async def test_receivers_that_come_and_go_leave_no_trace_on_what_they_did_not_take(
        self, bus: Bus, queue: str
    ) -> None:
        await sent(bus, queue, *[b"%d" % number for number in range(60)])

        found = {}
        for _ in range(60):
            async with bus.receive(queue, prefetch=1) as deliveries:
                delivery = await taken(deliveries)
                await delivery.ack()
            found[delivery.body] = delivery.redelivered

        assert found == {b"%d" % number: False for number in range(60)}
