"""A broker of our own is cut off, frozen, alarmed, impatient and restarted; nothing confirmed is lost."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from tests.integration.bus.conftest import ACK_WITHIN_S, Ctl, OpenBus

from headrace.adapters.bus.rabbitmq import RabbitBus
from headrace.contracts.topology import Topology
from headrace.core.errors import Unavailable
from headrace.core.ports.bus import ORIGIN_HEADER, REASON_HEADER, Delivery, Parcel, Sent
from headrace.testkit.conformance.bus.steps import bodies, nothing_comes, ready, sent, taken
from headrace.testkit.infra import Server
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


@pytest.fixture
async def bus(open_bus: OpenBus, broker: Server, name: str) -> RabbitBus:
    bus = await open_bus(broker.url)
    await bus.declare([name])
    return bus


@pytest.fixture
async def alarm(ctl: Ctl) -> AsyncGenerator[None]:
    """The broker thinks that it has no memory left, and holds back whoever publishes."""
    await ctl("set_vm_memory_high_watermark", "0")
    yield
    await ctl("set_vm_memory_high_watermark", "0.4")


async def is_kept(bus: RabbitBus, queue: str) -> bool:
    return await bus.send([Parcel(queue, b"after")]) == [Sent.KEPT]


async def is_well(bus: RabbitBus) -> bool:
    try:
        await bus.ping()
    except Unavailable:
        return False
    return True


async def cut_off(ctl: Ctl) -> None:
    await ctl("close_all_connections", "--vhost", "/", "a test says so")


class TestCutOff:
    async def test_sends_work_again_by_themselves(
        self, bus: RabbitBus, ctl: Ctl, name: str
    ) -> None:
        await sent(bus, name, b"before")
        await cut_off(ctl)

        await eventually(lambda: is_kept(bus, name))

        await ready(bus, name, 2)

    async def test_a_waiting_consumer_gets_what_comes_after(
        self, bus: RabbitBus, ctl: Ctl, name: str
    ) -> None:
        async with bus.receive(name, prefetch=1) as deliveries, asyncio.TaskGroup() as group:
            receiving = group.create_task(bodies(deliveries, 1))
            await eventually(lambda: _listened_to(bus, name))
            await cut_off(ctl)
            await eventually(lambda: is_kept(bus, name))

        assert receiving.result() == [b"after"]

    async def test_what_was_in_hand_comes_back_and_its_late_ack_does_nothing(
        self, bus: RabbitBus, ctl: Ctl, name: str
    ) -> None:
        await sent(bus, name, b"x")

        async with bus.receive(name, prefetch=1) as deliveries:
            first = await taken(deliveries)
            await cut_off(ctl)
            again = await taken(deliveries)
            await first.ack()
            await first.bury("too late")
            await again.ack()

        assert (again.body, again.redelivered) == (b"x", True)
        await ready(bus, name, 0)

    async def test_a_mailbox_is_made_again_by_its_reader(
        self, bus: RabbitBus, ctl: Ctl, name: str
    ) -> None:
        box = f"{name}.box"

        async with bus.mailbox(box) as deliveries, asyncio.TaskGroup() as group:
            reading = group.create_task(bodies(deliveries, 1))
            await cut_off(ctl)
            await eventually(lambda: is_kept(bus, box))

        assert reading.result() == [b"after"]


class TestFrozen:
    async def test_a_send_to_a_frozen_broker_ends_in_time_as_unknown(
        self, bus: RabbitBus, broker: Server, name: str
    ) -> None:
        await sent(bus, name, b"before")
        await broker.pause()
        try:
            started = time.monotonic()
            outcomes = await bus.send([Parcel(name, b"during"), Parcel(name, b"during")])
            took = time.monotonic() - started
        finally:
            await broker.resume()

        assert outcomes == [Sent.UNKNOWN, Sent.UNKNOWN]
        assert took < 2.0 + 2.5  # the deadline, and the time to give up on the connection
        await eventually(lambda: is_kept(bus, name), within=15)

    async def test_everything_else_is_unavailable_in_time(
        self, bus: RabbitBus, broker: Server, name: str
    ) -> None:
        await broker.pause()
        try:
            async with asyncio.timeout(25):
                with pytest.raises(Unavailable):
                    await bus.ping()
                with pytest.raises(Unavailable):
                    await bus.depth(name)
        finally:
            await broker.resume()

        await eventually(lambda: is_well(bus), within=15)

    async def test_a_receiver_that_hears_nothing_knows_for_how_long(
        self, bus: RabbitBus, broker: Server, name: str
    ) -> None:
        async with bus.receive(name, prefetch=1) as deliveries, asyncio.TaskGroup() as group:
            waiting = group.create_task(bodies(deliveries, 1))
            await eventually(lambda: _listened_to(bus, name))
            # Silence alone is looked into, twice a second here, and is no reason to worry.
            await eventually(lambda: 0 < (deliveries.alive_s or 0) < 0.2, within=15, every=0.02)
            await broker.pause()
            try:
                await eventually(lambda: (deliveries.alive_s or 0) > 3, within=25)
            finally:
                await broker.resume()
            await eventually(lambda: (deliveries.alive_s or 9) < 1, within=25, every=0.02)
            await eventually(lambda: is_kept(bus, name), within=15)

        assert waiting.result() == [b"after"]

    async def test_a_receiver_may_leave_a_frozen_broker(
        self, bus: RabbitBus, broker: Server, name: str
    ) -> None:
        await sent(bus, name, b"x")
        try:
            async with asyncio.timeout(25), bus.receive(name, prefetch=2) as deliveries:
                await taken(deliveries)
                await broker.pause()
        finally:
            await broker.resume()

        await ready(bus, name, 1)


@pytest.mark.usefixtures("alarm")
class TestAlarmed:
    async def test_sends_are_unknown_and_the_ping_says_why(
        self, bus: RabbitBus, ctl: Ctl, name: str
    ) -> None:
        assert await bus.send([Parcel(name, b"during")]) == [Sent.UNKNOWN]

        with pytest.raises(Unavailable, match="holds back all publishes"):
            await bus.ping()

        await ctl("set_vm_memory_high_watermark", "0.4")
        await eventually(lambda: is_well(bus), within=15)
        await eventually(lambda: is_kept(bus, name), within=15)

    async def test_consumers_go_on(
        self, bus: RabbitBus, ctl: Ctl, name: str, open_bus: OpenBus, broker: Server
    ) -> None:
        await ctl("set_vm_memory_high_watermark", "0.4")
        await eventually(lambda: is_kept(bus, name), within=15)
        await ctl("set_vm_memory_high_watermark", "0")
        await bus.send([Parcel(name, b"during")])

        async with bus.receive(name, prefetch=1) as deliveries:
            assert await bodies(deliveries, 1) == [b"after"]


class TestImpatient:
    async def test_a_message_held_longer_than_the_brokers_patience_only_comes_back(
        self, bus: RabbitBus, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING, "headrace")
        await sent(bus, name, b"x")

        async with bus.receive(name, prefetch=1) as deliveries:
            held = await taken(deliveries)
            async with asyncio.timeout(ACK_WITHIN_S * 5):
                again = await anext(deliveries)
            await held.ack()
            await again.ack()
            await sent(bus, name, b"next")
            following = await bodies(deliveries, 1)

        assert (again.body, again.redelivered) == (b"x", True)
        assert following == [b"next"]
        assert any("timed out" in str(vars(record)) for record in caplog.records)

    async def test_a_message_acknowledged_at_once_leaves_its_holder_all_the_time_in_the_world(
        self, bus: RabbitBus, name: str
    ) -> None:
        """The way of a worker: take, settle, leave, and only then work for long."""
        await sent(bus, name, b"job")
        async with bus.receive(name, prefetch=1) as deliveries:
            await bodies(deliveries, 1)

        worked_until = time.monotonic() + ACK_WITHIN_S + 2
        await eventually(lambda: time.monotonic() > worked_until, within=ACK_WITHIN_S + 3)

        async with bus.receive(name, prefetch=1) as deliveries:
            assert await nothing_comes(deliveries)


class TestRestarted:
    @pytest.mark.parametrize("end", ["stop", "kill"])
    async def test_what_was_kept_survives_and_everyone_comes_back(
        self, bus: RabbitBus, broker: Server, name: str, end: str
    ) -> None:
        await sent(bus, name, *[b"%d" % number for number in range(50)])
        # A 3.10 that is killed within about a second of a declaration never opens that queue again.
        declared = time.monotonic()
        await eventually(lambda: time.monotonic() > declared + 3)

        async with bus.receive(name, prefetch=10) as deliveries, asyncio.TaskGroup() as group:
            early = await bodies(deliveries, 5)
            await getattr(broker, end)()
            during = await bus.send([Parcel(name, b"during")])
            receiving = group.create_task(_until(deliveries, b"after"))
            await broker.start()
            await eventually(lambda: is_kept(bus, name), within=30)

        assert during == [Sent.UNKNOWN]
        assert {b"%d" % number for number in range(50)} <= {*early, *receiving.result()}


class TestDeadLetters:
    async def test_they_wait_in_their_queue_while_the_parking_place_is_gone(
        self, bus: RabbitBus, ctl: Ctl, name: str, topology: Topology
    ) -> None:
        """At least once: the broker lets go of a dead letter only when it is parked."""
        patience = (
            "application:set_env(rabbit, dead_letter_worker_publisher_confirm_timeout, 1000)."
        )
        await ctl("eval", patience)  # three minutes otherwise
        queue = f"{name}.with-that-patience"
        await bus.declare([queue])
        await sent(bus, queue, b"bad")
        await ctl("delete_queue", topology.dead)

        async with bus.receive(queue, prefetch=1) as deliveries:
            delivery = await taken(deliveries)
            await delivery.bury("nowhere to put it, so this reason is lost")
        await bus.declare([])  # which makes the parking place anew

        async with bus.receive(topology.dead, prefetch=1) as deliveries:
            dead = await taken(deliveries)
            await dead.ack()
        assert (dead.body, dead.headers[REASON_HEADER]) == (b"bad", "rejected")
        assert dead.headers[ORIGIN_HEADER] == queue


async def _until(deliveries: AsyncIterator[Delivery], last: bytes) -> list[bytes]:
    found: list[bytes] = []
    async with asyncio.timeout(60):
        async for delivery in deliveries:
            await delivery.ack()
            found.append(delivery.body)
            if delivery.body == last:
                break
    return found


async def _listened_to(bus: RabbitBus, name: str) -> bool:
    return (await bus.depth(name)).consumers == 1
