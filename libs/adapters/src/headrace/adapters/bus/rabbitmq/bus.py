"""The bus port on RabbitMQ: two connections, so that a broker which stops publishes still delivers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractQueue
from typing_extensions import override

from headrace.adapters.bus.rabbitmq.faults import as_unavailable
from headrace.adapters.bus.rabbitmq.link import ANSWER_WITHIN_S, Link
from headrace.adapters.bus.rabbitmq.publisher import Publisher
from headrace.adapters.bus.rabbitmq.receiver import Receiver, Source
from headrace.adapters.bus.rabbitmq.topology import Declarer, declare_mailbox
from headrace.contracts.messages import MAX_MESSAGE_BYTES
from headrace.contracts.topology import Topology
from headrace.core.errors import TooLarge, Unavailable
from headrace.core.ports.bus import Bus, Depth, Parcel, Sent

RECONNECT_S: Final = (2.0, 8.0)  # every process picks its own pace between these
DECLARE_WITHIN_S: Final = 30.0
WATCH_S: Final = 10.0
MAILBOX_PREFETCH: Final = 100


@asynccontextmanager
async def open_rabbit_bus(
    url: str,
    *,
    topology: Topology,
    connection_name: str,
    publish_timeout_s: float = 5.0,
    reconnect_s: float | None = None,
    watch_s: float = WATCH_S,
) -> AsyncGenerator[RabbitBus]:
    """Connect now. Raises Unavailable, with a plain reason, when that fails."""
    pause_s = random.uniform(*RECONNECT_S) if reconnect_s is None else reconnect_s
    publishing = Link(url, name=f"{connection_name} publish", pause_s=pause_s)
    consuming = Link(url, name=f"{connection_name} consume", pause_s=pause_s)
    try:
        await publishing.connect()
        await consuming.connect()
        yield RabbitBus(
            publishing, consuming, topology, publish_timeout_s=publish_timeout_s, watch_s=watch_s
        )
    finally:
        await consuming.close()
        await publishing.close()


class RabbitBus(Bus):
    def __init__(
        self,
        publishing: Link,
        consuming: Link,
        topology: Topology,
        *,
        publish_timeout_s: float,
        watch_s: float,
    ) -> None:
        self._publishing = publishing
        self._consuming = consuming
        self._topology = topology
        self._publisher = Publisher(publishing, timeout_s=publish_timeout_s)
        self._declarer = Declarer(consuming, topology)
        self._publish_timeout_s = publish_timeout_s
        self._watch_s = watch_s

    @property
    def broker_version(self) -> tuple[int, int]:
        return self._consuming.version

    @override
    async def declare(self, queues: Sequence[str]) -> None:
        with as_unavailable(self._consuming.what):
            async with asyncio.timeout(DECLARE_WITHIN_S):
                await self._declarer.declare(queues)

    @override
    async def send(self, parcels: Sequence[Parcel]) -> list[Sent]:
        for parcel in parcels:
            if len(parcel.body) > MAX_MESSAGE_BYTES:
                raise TooLarge(f"a message to {parcel.queue}", len(parcel.body), MAX_MESSAGE_BYTES)
        if not parcels:
            return []
        outcomes = await self._publisher.publish(parcels)
        await self._restore(
            [p.queue for p, sent in zip(parcels, outcomes, strict=True) if sent is Sent.UNROUTABLE]
        )
        return outcomes

    @override
    @asynccontextmanager
    async def receive(self, queue: str, *, prefetch: int) -> AsyncGenerator[Receiver]:
        """The consumer starts with the first `anext`, so entering never fails."""
        source = Source(
            name=queue,
            prefetch=prefetch,
            open=partial(_existing, name=queue),
            restore=partial(self._declarer.restore, [queue]),
            depth=partial(self._declarer.depth, queue),
            park=self._park,
        )
        receiver = Receiver(self._consuming, source, watch_s=self._watch_s)
        try:
            yield receiver
        finally:
            await receiver.close()

    @override
    @asynccontextmanager
    async def mailbox(self, name: str) -> AsyncGenerator[Receiver]:
        """Made before this returns. Raises Unavailable when that fails."""
        source = Source(
            name=name,
            prefetch=MAILBOX_PREFETCH,
            open=partial(declare_mailbox, name=name),
            restore=_nothing,  # opening it declares it
            depth=partial(self._declarer.depth, name),
            park=self._park,
            delete_at_end=True,
        )
        receiver = Receiver(self._consuming, source, watch_s=self._watch_s)
        try:
            await receiver.open()
            yield receiver
        finally:
            await receiver.close()

    @override
    async def depth(self, queue: str) -> Depth:
        with as_unavailable(self._consuming.what):
            async with asyncio.timeout(ANSWER_WITHIN_S):  # also where others wait for the link
                return await self._declarer.depth(queue)

    @override
    async def ping(self) -> None:
        """Publishes to nowhere: only a broker that takes messages can say that there is no such queue."""
        if await self._publishing.is_blocked():
            raise Unavailable(self._publishing.what, "it holds back all publishes (memory or disk)")
        nowhere = Parcel(f"{self._topology.namespace}.ping", b"")
        if await self._publisher.publish([nowhere]) != [Sent.UNROUTABLE]:
            raise Unavailable(self._publishing.what, "a publish was not confirmed")

    async def _park(self, body: bytes, headers: Mapping[str, str]) -> Sent:
        dead = Parcel(self._topology.dead, body, headers)
        (sent,) = await self._publisher.publish([dead])
        await self._restore([dead.queue] if sent is Sent.UNROUTABLE else [])
        return sent

    async def _restore(self, unroutable: Sequence[str]) -> None:
        """So that the sender's next attempt finds a queue which should have been there."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._declarer.restore(unroutable)
        except (Unavailable, TimeoutError):
            pass  # its next attempt will tell


async def _existing(channel: AbstractChannel, name: str) -> AbstractQueue:
    return await channel.get_queue(name, ensure=False)


async def _nothing() -> None:
    """There is nothing to restore."""
