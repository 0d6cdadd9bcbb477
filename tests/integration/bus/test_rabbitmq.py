"""What only a real broker can show: foreign queues, deleted queues, forgotten consumers, dead letters."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import suppress
from typing import Final

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from pamqp.common import FieldTable
from tests.integration.bus.conftest import OpenBus

from headrace.adapters.bus.rabbitmq import RabbitBus
from headrace.contracts.topology import Topology
from headrace.core.errors import Misconfigured, Unavailable
from headrace.core.ports.bus import MESSAGE_HEADER, ORIGIN_HEADER, REASON_HEADER, Parcel, Sent
from headrace.testkit.conformance.bus.steps import bodies, nothing_comes, sent, taken
from headrace.testkit.infra import Vhost
from headrace.testkit.servers import free_port
from headrace.testkit.waits import eventually

pytestmark = pytest.mark.real

QUORUM: Final[FieldTable] = {"x-queue-type": "quorum"}
CHANNELS: Final = 50


async def deleted(plain: AbstractChannel, name: str) -> None:
    await plain.queue_delete(name, if_unused=False, if_empty=False)


async def waited_for() -> int:
    """Futures and tasks that somebody still has a hold of."""
    await asyncio.sleep(0)  # the callbacks of what has just ended
    gc.collect()
    # By its type: asking an object for its class makes torch's deprecated ones warn, an error here.
    return sum(issubclass(type(each), asyncio.Future) for each in gc.get_objects())


class TestOpening:
    async def test_nobody_listening_is_said_plainly(self, open_bus: OpenBus) -> None:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:\d+ is unavailable: nobody listens"):
            await open_bus(f"amqp://guest:guest@127.0.0.1:{free_port()}/")

    async def test_a_wrong_password_is_said_plainly(self, open_bus: OpenBus, vhost: Vhost) -> None:
        with pytest.raises(Unavailable, match="refused the user or the password"):
            await open_bus(vhost.url.replace("guest:guest", "guest:wrong"))

    async def test_a_missing_vhost_is_said_plainly(self, open_bus: OpenBus, vhost: Vhost) -> None:
        with pytest.raises(Unavailable, match="refused the virtual host: there is no such one"):
            await open_bus(vhost.url.rpartition("/")[0] + "/nowhere")

    async def test_an_unknown_host_is_said_plainly(self, open_bus: OpenBus) -> None:
        with pytest.raises(Unavailable, match="the host name is not known"):
            await open_bus("amqp://guest:guest@nowhere.invalid/")

    async def test_no_error_names_the_password(self, open_bus: OpenBus, vhost: Vhost) -> None:
        with pytest.raises(Unavailable) as refused:
            await open_bus(vhost.url.replace("guest:guest", "guest:sesame"))

        assert "sesame" not in str(refused.value)


class TestDeclaring:
    async def test_a_queue_with_another_limit_is_named_with_what_is_and_what_should_be(
        self, open_bus: OpenBus, vhost: Vhost, plain: AbstractChannel, name: str, topology: Topology
    ) -> None:
        ours: FieldTable = {
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": topology.dead,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        limit: FieldTable = {"x-delivery-limit": 5}
        await plain.declare_queue(name, durable=True, arguments={**QUORUM, **ours, **limit})
        bus = await open_bus(vhost.url)

        with pytest.raises(Misconfigured) as differs:
            await bus.declare([name])

        assert differs.value.problem == (
            f"Queue '{name}' exists with other properties: x-delivery-limit should be '20' but is '5'."
        )
        assert f"rabbitmqctl delete_queue -p {vhost.url.rpartition('/')[2]} {name}" in (
            differs.value.remedy
        )

    async def test_a_classic_queue_of_that_name_is_told(
        self, open_bus: OpenBus, vhost: Vhost, plain: AbstractChannel, name: str
    ) -> None:
        await plain.declare_queue(name, durable=True)
        bus = await open_bus(vhost.url)

        with pytest.raises(
            Misconfigured, match="x-dead-letter-exchange should be '' but is not set"
        ):
            await bus.declare([name])

    async def test_a_missing_property_is_told(
        self, open_bus: OpenBus, vhost: Vhost, plain: AbstractChannel, topology: Topology
    ) -> None:
        await plain.declare_queue(topology.dead, durable=True, arguments=QUORUM)
        bus = await open_bus(vhost.url)

        with pytest.raises(
            Misconfigured, match="x-delivery-limit should be '1000000' but is not s"
        ):
            await bus.declare([])

    async def test_a_refused_declaration_leaves_the_bus_working(
        self, open_bus: OpenBus, vhost: Vhost, plain: AbstractChannel, name: str
    ) -> None:
        await plain.declare_queue(name, durable=True)
        bus = await open_bus(vhost.url)
        with pytest.raises(Misconfigured):
            await bus.declare([name])

        await bus.declare([f"{name}.other"])

        await sent(bus, f"{name}.other", b"x")

    async def test_a_mailbox_that_somebody_else_has_is_unavailable(
        self, open_bus: OpenBus, vhost: Vhost, name: str
    ) -> None:
        first, second = await open_bus(vhost.url), await open_bus(vhost.url)

        async with first.mailbox(name):
            with pytest.raises(Unavailable, match="RESOURCE_LOCKED"):
                async with second.mailbox(name):
                    pytest.fail("two have the same mailbox")


class TestClosing:
    async def test_nothing_stays_of_a_channel_that_was_closed_by_us_or_by_the_broker(
        self, open_bus: OpenBus, vhost: Vhost, name: str
    ) -> None:
        bus = await open_bus(vhost.url)
        await bus.declare([name])

        async def ask(queue: str) -> None:
            with suppress(Unavailable):
                await bus.depth(queue)

        for queue in (name, f"{name}.missing"):
            await ask(queue)
            before = await waited_for()
            for _ in range(CHANNELS):
                await ask(queue)
            assert await waited_for() < before + CHANNELS / 2


class TestSending:
    async def test_a_message_is_persistent_and_its_id_is_fresh_each_time(
        self, open_bus: OpenBus, vhost: Vhost, plain: AbstractChannel, name: str
    ) -> None:
        bus = await open_bus(vhost.url)
        await bus.declare([name])
        await sent(bus, name, b"x", b"x")

        queue = await plain.get_queue(name)
        first, second = await queue.get(no_ack=True), await queue.get(no_ack=True)

        assert first is not None
        assert second is not None
        assert first.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
        assert first.message_id != second.message_id

    async def test_a_deleted_queue_is_unroutable_and_soon_there_again(
        self, open_bus: OpenBus, vhost: Vhost, plain: AbstractChannel, name: str
    ) -> None:
        bus = await open_bus(vhost.url)
        await bus.declare([name])
        await deleted(plain, name)

        assert await bus.send([Parcel(name, b"x")]) == [Sent.UNROUTABLE]
        await eventually(lambda: _kept(bus, name))

    async def test_a_queue_that_is_not_ours_is_not_made(
        self, open_bus: OpenBus, vhost: Vhost, name: str
    ) -> None:
        bus = await open_bus(vhost.url)

        assert await bus.send([Parcel(name, b"x")]) == [Sent.UNROUTABLE]
        assert await bus.send([Parcel(name, b"x")]) == [Sent.UNROUTABLE]


class TestConsumersComeBack:
    async def test_when_the_queue_was_deleted_and_it_is_ours(
        self, open_bus: OpenBus, vhost: Vhost, plain: AbstractChannel, name: str
    ) -> None:
        bus = await open_bus(vhost.url)
        await bus.declare([name])

        async with bus.receive(name, prefetch=5) as deliveries:
            assert await nothing_comes(deliveries)
            await deleted(plain, name)
            async with asyncio.TaskGroup() as group:
                receiving = group.create_task(bodies(deliveries, 1))
                await eventually(lambda: _kept(bus, name))

        assert receiving.result() == [b"after"]

    async def test_when_the_queue_was_deleted_and_somebody_else_makes_it_again(
        self, open_bus: OpenBus, vhost: Vhost, plain: AbstractChannel, name: str
    ) -> None:
        owner, stranger = await open_bus(vhost.url), await open_bus(vhost.url)
        await owner.declare([name])

        async with stranger.receive(name, prefetch=1) as deliveries:
            assert await nothing_comes(deliveries)
            await deleted(plain, name)
            assert await nothing_comes(deliveries)
            await owner.declare([name])
            await sent(owner, name, b"after")

            assert await bodies(deliveries, 1) == [b"after"]

    async def test_when_the_consumer_vanished_without_a_word(
        self, open_bus: OpenBus, vhost: Vhost, name: str
    ) -> None:
        bus = await open_bus(vhost.url)
        await bus.declare([name])

        async with bus.receive(name, prefetch=5) as deliveries:
            assert await nothing_comes(deliveries)
            session = deliveries._session
            assert session is not None
            assert session._tag is not None
            underlay = await session._channel.get_underlay_channel()
            await underlay.basic_cancel(session._tag)  # behind its back
            await sent(bus, name, b"x")

            assert await bodies(deliveries, 1) == [b"x"]

    async def test_when_the_consumer_is_a_ghost_of_a_queue_made_again_at_once(
        self, open_bus: OpenBus, vhost: Vhost, plain: AbstractChannel, name: str
    ) -> None:
        """A 3.10 counts it, gives it the message, and neither delivers nor says anything."""
        await plain.declare_queue(name, durable=True, arguments=QUORUM)
        bus = await open_bus(vhost.url)

        async with bus.receive(name, prefetch=5) as deliveries:
            assert await nothing_comes(deliveries)
            await deleted(plain, name)
            await plain.declare_queue(name, durable=True, arguments=QUORUM)
            await sent(bus, name, b"x")

            assert await bodies(deliveries, 1) == [b"x"]

    async def test_when_messages_wait_and_none_is_delivered(
        self,
        open_bus: OpenBus,
        vhost: Vhost,
        plain: AbstractChannel,
        name: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        alone: FieldTable = {**QUORUM, "x-single-active-consumer": True}
        queue = await plain.declare_queue(name, durable=True, arguments=alone)
        await plain.set_qos(prefetch_count=1)
        tag = await queue.consume(_hold)
        bus = await open_bus(vhost.url)
        await sent(bus, name, b"held", b"waiting")
        caplog.set_level(logging.DEBUG, "headrace")

        async with bus.receive(name, prefetch=1) as deliveries, asyncio.TaskGroup() as group:
            receiving = group.create_task(bodies(deliveries, 1))
            await eventually(lambda: "bus.connection_dropped" in caplog.messages, within=10)
            await queue.cancel(tag)

        assert receiving.result() == [b"waiting"]
        assert any("none is delivered" in str(vars(record)) for record in caplog.records)


class TestDeadLetters:
    async def test_a_message_whose_receivers_all_die_is_parked(
        self, open_bus: OpenBus, vhost: Vhost, name: str, topology: Topology
    ) -> None:
        bus = await open_bus(vhost.url)
        await bus.declare([name])
        await sent(bus, name, b"poison")
        for _ in range(21):
            async with bus.receive(name, prefetch=1) as deliveries:
                await taken(deliveries)

        async with bus.receive(topology.dead, prefetch=1) as deliveries:
            dead = await taken(deliveries)
            await dead.ack()

        assert (dead.body, dead.headers[REASON_HEADER]) == (b"poison", "delivery_limit")

    async def test_what_the_broker_parks_says_why_and_from_where(
        self,
        open_bus: OpenBus,
        vhost: Vhost,
        plain: AbstractChannel,
        name: str,
        topology: Topology,
    ) -> None:
        bus = await open_bus(vhost.url)
        await bus.declare([name])
        await sent(bus, name, b"x", headers={"a": "1"})
        message = await (await plain.get_queue(name)).get()
        assert message is not None
        await message.reject(requeue=False)

        async with bus.receive(topology.dead, prefetch=1) as deliveries:
            dead = await taken(deliveries)
            await dead.ack()

        headers = dict(dead.headers)
        assert headers.pop(MESSAGE_HEADER), "the broker's own id, so that it is written down once"
        assert headers == {"a": "1", REASON_HEADER: "rejected", ORIGIN_HEADER: name}


async def _hold(_: object) -> None:
    """Take a message, and never settle it."""


async def _kept(bus: RabbitBus, name: str) -> bool:
    return await bus.send([Parcel(name, b"after")]) == [Sent.KEPT]
