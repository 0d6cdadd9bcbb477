"""What a bus promises about mailboxes."""

from __future__ import annotations

from collections.abc import Callable

from headrace.core.ports.bus import (
    Bus,
    Parcel,
    Sent,
)
from headrace.testkit.conformance.bus.steps import (
    bodies,
    sent,
    taken,
)


class Mailboxes:
    async def test_a_mailbox_gets_what_is_sent_to_it(
        self, bus: Bus, fresh_queue: Callable[[], str]
    ) -> None:
        name = fresh_queue()

        async with bus.mailbox(name) as deliveries:
            await sent(bus, name, b"1")
            await sent(bus, name, b"2")
            assert await bodies(deliveries, 2) == [b"1", b"2"]

    async def test_a_mailbox_takes_letters_before_anyone_looks_into_it(
        self, bus: Bus, fresh_queue: Callable[[], str]
    ) -> None:
        name = fresh_queue()

        async with bus.mailbox(name):
            assert await bus.send([Parcel(name, b"x")]) == [Sent.KEPT]

    async def test_a_mailbox_goes_with_its_owner(
        self, bus: Bus, fresh_queue: Callable[[], str]
    ) -> None:
        name = fresh_queue()
        async with bus.mailbox(name):
            await sent(bus, name, b"x")

        assert await bus.send([Parcel(name, b"y")]) == [Sent.UNROUTABLE]

    async def test_a_mailbox_may_be_opened_again(
        self, bus: Bus, fresh_queue: Callable[[], str]
    ) -> None:
        name = fresh_queue()
        async with bus.mailbox(name):
            await sent(bus, name, b"old")

        async with bus.mailbox(name) as deliveries:
            await sent(bus, name, b"new")
            assert await bodies(deliveries, 1) == [b"new"]

    async def test_a_full_mailbox_loses_its_oldest(
        self, bus: Bus, fresh_queue: Callable[[], str]
    ) -> None:
        name = fresh_queue()

        async with bus.mailbox(name) as deliveries:
            await bus.send([Parcel(name, b"old") for _ in range(1100)])
            assert (await bus.depth(name)).ready <= 1000
            await sent(bus, name, b"newest")
            while (delivery := await taken(deliveries)).body != b"newest":
                await delivery.ack()
