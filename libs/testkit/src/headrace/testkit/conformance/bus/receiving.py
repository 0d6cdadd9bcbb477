"""What a bus promises to its receivers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headrace.core.ports.bus import (
    Bus,
    Parcel,
    Sent,
)
from headrace.testkit.conformance.bus.steps import (
    PATIENCE_S,
    bodies,
    nothing_comes,
    ready,
    sent,
    taken,
)


class Receiving:
    async def test_an_unsettled_message_comes_back_when_its_receiver_leaves(
        self, bus: Bus, queue: str
    ) -> None:
        await sent(bus, queue, b"x")
        async with bus.receive(queue, prefetch=1) as deliveries:
            await taken(deliveries)

        async with bus.receive(queue, prefetch=1) as deliveries:
            again = await taken(deliveries)
            await again.ack()

        assert again.body == b"x"
        assert again.redelivered

    async def test_a_receiver_knows_that_it_was_alive_just_now(self, bus: Bus, queue: str) -> None:
        await sent(bus, queue, b"x")

        async with bus.receive(queue, prefetch=1) as deliveries:
            delivery = await taken(deliveries)
            alive_s = deliveries.alive_s
            await delivery.ack()

        assert alive_s is not None
        assert 0 <= alive_s < PATIENCE_S

    async def test_what_is_given_back_keeps_its_order(self, bus: Bus, queue: str) -> None:
        await sent(bus, queue, b"1")
        await sent(bus, queue, b"2")
        await sent(bus, queue, b"3")
        async with bus.receive(queue, prefetch=2) as deliveries:
            await taken(deliveries)
            await taken(deliveries)

        async with bus.receive(queue, prefetch=3) as deliveries:
            assert await bodies(deliveries, 3) == [b"1", b"2", b"3"]

    async def test_an_acknowledged_message_never_comes_back(self, bus: Bus, queue: str) -> None:
        await sent(bus, queue, b"x")
        async with bus.receive(queue, prefetch=1) as deliveries:
            await bodies(deliveries, 1)

        async with bus.receive(queue, prefetch=1) as deliveries:
            assert await nothing_comes(deliveries)

    async def test_a_requeued_message_comes_again(self, bus: Bus, queue: str) -> None:
        await sent(bus, queue, b"x")

        async with bus.receive(queue, prefetch=1) as deliveries:
            first = await taken(deliveries)
            await first.requeue()
            again = await taken(deliveries)
            await again.ack()

        assert again.redelivered

    async def test_settling_twice_does_nothing(self, bus: Bus, queue: str) -> None:
        await sent(bus, queue, b"1", b"2")

        async with bus.receive(queue, prefetch=1) as deliveries:
            first = await taken(deliveries)
            await first.ack()
            await first.requeue()
            await first.bury("changed my mind")
            await first.ack()
            second = await taken(deliveries)
            await second.ack()
            assert await nothing_comes(deliveries)

    async def test_settling_after_leaving_does_nothing(self, bus: Bus, queue: str) -> None:
        await sent(bus, queue, b"x")
        async with bus.receive(queue, prefetch=1) as deliveries:
            late = await taken(deliveries)

        await late.ack()

        await ready(bus, queue, 1)

    async def test_no_more_than_the_prefetch_is_in_hand(self, bus: Bus, queue: str) -> None:
        await sent(bus, queue, b"1", b"2", b"3")

        async with bus.receive(queue, prefetch=2) as deliveries:
            first = await taken(deliveries)
            await taken(deliveries)
            assert await nothing_comes(deliveries)
            await first.ack()
            third = await taken(deliveries)

        assert third.body == b"3"

    async def test_with_a_prefetch_of_one_nothing_is_taken_before_it_is_asked_for(
        self, bus: Bus, queue: str
    ) -> None:
        await sent(bus, queue, b"1")
        await sent(bus, queue, b"2")

        async with bus.receive(queue, prefetch=1) as busy:
            first = await taken(busy)
            await first.ack()
            async with bus.receive(queue, prefetch=1) as idle:
                second = await taken(idle)
                await second.ack()

        assert (second.body, second.redelivered) == (b"2", False)

    async def test_waiting_in_vain_does_no_harm(self, bus: Bus, queue: str) -> None:
        async with bus.receive(queue, prefetch=1) as deliveries:
            assert await nothing_comes(deliveries)
            assert await nothing_comes(deliveries)
            await sent(bus, queue, b"x")

            assert await bodies(deliveries, 1) == [b"x"]

    async def test_competing_receivers_share_the_work(self, bus: Bus, queue: str) -> None:
        await sent(bus, queue, *[b"%d" % number for number in range(40)])
        shares: dict[str, int] = {"a": 0, "b": 0}
        done = asyncio.Event()

        async def work(name: str) -> None:
            async with bus.receive(queue, prefetch=1) as deliveries:
                while True:
                    delivery = await taken(deliveries)
                    await delivery.ack()
                    shares[name] += 1
                    if sum(shares.values()) == 40:
                        done.set()

        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            workers = [group.create_task(work(name)) for name in shares]
            await done.wait()
            for worker in workers:
                worker.cancel()

        assert min(shares.values()) >= 10

    async def test_a_receiver_may_come_before_its_queue(
        self, bus: Bus, fresh_queue: Callable[[], str]
    ) -> None:
        name = fresh_queue()

        async with bus.receive(name, prefetch=1) as deliveries:
            assert await nothing_comes(deliveries)
            assert await bus.send([Parcel(name, b"early")]) == [Sent.UNROUTABLE]
            await bus.declare([name])
            await sent(bus, name, b"x")

            assert await bodies(deliveries, 1) == [b"x"]
