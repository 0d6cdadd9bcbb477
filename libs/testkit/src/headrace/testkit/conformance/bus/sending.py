"""What a bus promises to its senders."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headrace.contracts.messages import MAX_MESSAGE_BYTES
from headrace.core.errors import TooLarge
from headrace.core.ports.bus import (
    Bus,
    Parcel,
    Sent,
)
from headrace.testkit.conformance.bus.steps import (
    bodies,
    ready,
    sent,
    taken,
)


class Sending:
    async def test_what_is_sent_arrives_with_its_body_and_headers(
        self, bus: Bus, queue: str
    ) -> None:
        await sent(bus, queue, b"\x00\xff any bytes", headers={"traceparent": "00-ab-cd-01"})

        async with bus.receive(queue, prefetch=1) as deliveries:
            delivery = await taken(deliveries)
            await delivery.ack()

        assert delivery.body == b"\x00\xff any bytes"
        assert delivery.headers["traceparent"] == "00-ab-cd-01"
        assert not delivery.redelivered

    async def test_an_empty_body_is_a_message_too(self, bus: Bus, queue: str) -> None:
        await sent(bus, queue, b"")

        async with bus.receive(queue, prefetch=1) as deliveries:
            assert await bodies(deliveries, 1) == [b""]

    async def test_what_the_sender_changes_afterwards_does_not_arrive(
        self, bus: Bus, queue: str
    ) -> None:
        headers = {"a": "1"}
        await sent(bus, queue, b"x", headers=headers)
        headers["a"] = "2"

        async with bus.receive(queue, prefetch=1) as deliveries:
            delivery = await taken(deliveries)
            await delivery.ack()

        assert delivery.headers["a"] == "1"

    async def test_a_brokers_own_death_notes_do_not_travel_again(
        self, bus: Bus, queue: str
    ) -> None:
        await sent(bus, queue, b"x", headers={"x-death": "once", "x-death-count": "1", "a": "1"})

        async with bus.receive(queue, prefetch=1) as deliveries:
            delivery = await taken(deliveries)
            await delivery.ack()

        assert dict(delivery.headers) == {"a": "1"}

    async def test_messages_arrive_in_the_order_of_their_sending(
        self, bus: Bus, queue: str
    ) -> None:
        texts = [b"%d" % number for number in range(20)]
        for text in texts:
            await sent(bus, queue, text)

        async with bus.receive(queue, prefetch=5) as deliveries:
            assert await bodies(deliveries, 20) == texts

    async def test_a_batch_larger_than_any_window_is_kept_whole(self, bus: Bus, queue: str) -> None:
        texts = {b"%d" % number for number in range(450)}
        await sent(bus, queue, *texts)

        async with bus.receive(queue, prefetch=100) as deliveries:
            assert set(await bodies(deliveries, 450)) == texts

    async def test_an_empty_batch_has_no_answers(self, bus: Bus) -> None:
        assert await bus.send([]) == []

    async def test_a_queue_that_nobody_declared_is_unroutable(
        self, bus: Bus, fresh_queue: Callable[[], str]
    ) -> None:
        assert await bus.send([Parcel(fresh_queue(), b"x")]) == [Sent.UNROUTABLE]

    async def test_a_name_too_long_for_any_broker_is_unroutable(self, bus: Bus) -> None:
        assert await bus.send([Parcel("q" * 256, b"x")]) == [Sent.UNROUTABLE]

    async def test_the_answers_come_in_the_order_of_the_parcels(
        self, bus: Bus, queue: str, fresh_queue: Callable[[], str]
    ) -> None:
        nowhere = fresh_queue()
        parcels = [Parcel(queue if n % 3 else nowhere, b"%d" % n) for n in range(30)]

        outcomes = await bus.send(parcels)

        assert outcomes == [Sent.KEPT if n % 3 else Sent.UNROUTABLE for n in range(30)]
        await ready(bus, queue, 20)

    async def test_one_parcel_too_large_and_nothing_of_the_batch_is_sent(
        self, bus: Bus, queue: str
    ) -> None:
        with pytest.raises(TooLarge):
            await bus.send([Parcel(queue, b"x"), Parcel(queue, b"x" * (MAX_MESSAGE_BYTES + 1))])

        await ready(bus, queue, 0)

    async def test_the_largest_message_passes(self, bus: Bus, queue: str) -> None:
        await sent(bus, queue, b"x" * MAX_MESSAGE_BYTES)

        async with bus.receive(queue, prefetch=1) as deliveries:
            assert len((await bodies(deliveries, 1))[0]) == MAX_MESSAGE_BYTES
