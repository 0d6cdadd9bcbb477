"""What a bus promises about dead letters."""

from __future__ import annotations

from headrace.contracts.topology import Topology
from headrace.core.ports.bus import (
    ORIGIN_HEADER,
    REASON_HEADER,
    Bus,
)
from headrace.testkit.conformance.bus.steps import (
    bodies,
    ready,
    sent,
    taken,
)

DELIVERIES_ALLOWED = 20


class Parking:
    async def test_a_buried_message_is_parked_with_its_reason_and_origin(
        self, bus: Bus, queue: str, topology: Topology
    ) -> None:
        await sent(bus, queue, b"bad", headers={"a": "1"})
        async with bus.receive(queue, prefetch=1) as deliveries:
            delivery = await taken(deliveries)
            await delivery.bury("cannot be read: no kind")

        async with bus.receive(topology.dead, prefetch=1) as deliveries:
            dead = await taken(deliveries)
            await dead.ack()

        assert dead.body == b"bad"
        assert dead.headers["a"] == "1"
        assert dead.headers[REASON_HEADER] == "cannot be read: no kind"
        assert dead.headers[ORIGIN_HEADER] == queue
        await ready(bus, queue, 0)

    async def test_a_message_that_always_comes_back_is_parked_in_the_end(
        self, bus: Bus, queue: str, topology: Topology
    ) -> None:
        await sent(bus, queue, b"poison")
        async with bus.receive(queue, prefetch=1) as deliveries:
            for _ in range(DELIVERIES_ALLOWED + 1):
                delivery = await taken(deliveries)
                await delivery.requeue()

        async with bus.receive(topology.dead, prefetch=1) as deliveries:
            dead = await taken(deliveries)
            await dead.ack()

        assert dead.body == b"poison"
        assert dead.headers[REASON_HEADER] == "delivery_limit"
        assert dead.headers[ORIGIN_HEADER] == queue

    async def test_a_dead_letter_may_come_back_any_number_of_times(
        self, bus: Bus, queue: str, topology: Topology
    ) -> None:
        await sent(bus, topology.dead, b"patient")
        async with bus.receive(topology.dead, prefetch=1) as deliveries:
            for _ in range(DELIVERIES_ALLOWED + 5):
                delivery = await taken(deliveries)
                await delivery.requeue()

            assert await bodies(deliveries, 1) == [b"patient"]
