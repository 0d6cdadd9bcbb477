"""Every subscription of this process on one connection that mends itself.

Pub/Sub forgets whom it does not reach and says nothing. So whoever follows a channel is told to
look at the log after each reconnection, and silence is probed: a server that does not answer a
PING in time is left, since a frozen one looks exactly like a quiet one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Any, Final

from redis.exceptions import RedisError

from headrace.adapters.streams.buffer import Buffer
from headrace.adapters.streams.redis.wire import Wire, connect
from headrace.contracts.logs import read_message
from headrace.core.errors import Unavailable

ACKNOWLEDGED_WITHIN_S: Final = 2.0
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0
CHANNELS_AT_ONCE: Final = 100

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Topic:
    """One channel, and those in this process who follow it."""

    acknowledged: asyncio.Future[None]
    buffers: set[Buffer] = field(default_factory=set)


class Live:
    """`run` must be running for anything to arrive; it connects when first somebody follows."""

    def __init__(self, url: str, *, tick_s: float, random: Random) -> None:
        self._url, self._tick_s, self._random = url, tick_s, random
        self._topics: dict[bytes, _Topic] = {}
        # SUBSCRIBEs sent and not yet answered: after a quick unsubscribe and subscribe, the first
        # answer is to the old one.
        self._asked: Counter[bytes] = Counter()
        self._wire: Wire | None = None
        self._wanted = asyncio.Event()
        self._down: str | None = None  # why the last attempt to connect failed
        self._failures = 0

    @asynccontextmanager
    async def follow(self, channel: bytes) -> AsyncGenerator[Buffer]:
        if self._down is not None:
            raise Unavailable("Redis", self._down)
        self._wanted.set()
        topic, buffer = self._topic(channel), Buffer()
        topic.buffers.add(buffer)
        try:
            await _acknowledged(topic)
            yield buffer
        finally:
            topic.buffers.discard(buffer)
            if not topic.buffers:
                self._drop(channel, topic)

    async def run(self) -> None:
        await self._wanted.wait()
        while True:
            try:
                wire = await connect(self._url, self._on_reply)
            except (OSError, TimeoutError, RedisError) as error:
                self._refused(error)
            else:
                await self._serve(wire)
            ceiling = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._failures, 10))
            await asyncio.sleep(self._random.uniform(0, ceiling))

    async def _serve(self, wire: Wire) -> None:
        self._down, self._wire = None, wire
        try:
            self._subscribe(wire, self._topics)
            while not await self._silent_for_good(wire):
                pass
        finally:
            self._wire = None
            wire.close()
            self._asked.clear()
            self._failures += 1  # until a subscription is acknowledged: flapping is slowed down
        log.warning("streams.subscription_lost", extra={"topics": len(self._topics)})

    async def _silent_for_good(self, wire: Wire) -> bool:
        """Listen for a tick; in silence ask for a sign of life and wait a tick for it."""
        heard = wire.heard
        if await wire.lost_within(self._tick_s):
            return True
        if wire.heard != heard:
            return False
        wire.send("PING")
        return await wire.lost_within(self._tick_s) or wire.heard == heard

    def _refused(self, error: Exception) -> None:
        """Nobody may wait for a connection that does not come."""
        self._failures += 1
        self._down = str(error) or type(error).__name__
        for topic in self._topics.values():
            if not topic.acknowledged.done():
                topic.acknowledged.set_exception(Unavailable("Redis", self._down))

    def _topic(self, channel: bytes) -> _Topic:
        topic = self._topics.get(channel)
        if topic is None or _failed(topic):
            topic = _Topic(asyncio.get_running_loop().create_future())
            self._topics[channel] = topic
            if self._wire is not None:
                self._subscribe(self._wire, [channel])
        return topic

    def _drop(self, channel: bytes, topic: _Topic) -> None:
        if self._topics.get(channel) is not topic:
            return
        del self._topics[channel]
        if self._wire is not None:
            self._wire.send("UNSUBSCRIBE", channel)

    def _subscribe(self, wire: Wire, channels: Iterable[bytes]) -> None:
        rest = iter(channels)
        while some := list(islice(rest, CHANNELS_AT_ONCE)):
            self._asked.update(some)
            wire.send("SUBSCRIBE", *some)

    def _on_reply(self, reply: Any) -> None:
        match (
            reply
        ):  # what stands in them is text: no class pattern, which costs more than all else here
            case [b"message", channel, message]:
                self._on_message(channel, message)
            case [b"subscribe", channel, _]:
                self._on_subscribed(channel)
            case _:  # an unsubscription, a PONG, an error that the loss of the wire follows
                pass

    def _on_message(self, channel: bytes, message: bytes) -> None:
        topic = self._topics.get(channel)
        if topic is None:
            return
        try:
            batch = read_message(message)
        except (ValueError, IndexError):  # not from us; the log knows better
            batch = ()
        for buffer in topic.buffers:
            buffer.offer(batch) if batch else buffer.look()

    def _on_subscribed(self, channel: bytes) -> None:
        self._asked[channel] -= 1
        if self._asked[channel] > 0:
            return
        del self._asked[channel]
        self._failures = 0
        topic = self._topics.get(channel)
        if topic is None:  # whoever asked has left meanwhile
            return
        if not topic.acknowledged.done():
            topic.acknowledged.set_result(None)
            return
        for buffer in topic.buffers:
            buffer.look()


async def _acknowledged(topic: _Topic) -> None:
    try:
        async with asyncio.timeout(ACKNOWLEDGED_WITHIN_S):
            # Others may wait for the same answer: leaving must not cancel it for them.
            await asyncio.shield(topic.acknowledged)
    except TimeoutError:
        raise Unavailable("Redis", "a subscription was not acknowledged in time") from None


def _failed(topic: _Topic) -> bool:
    return topic.acknowledged.done() and topic.acknowledged.exception() is not None
