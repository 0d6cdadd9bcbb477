"""Every subscription of this process at one server, on one connection that mends itself.

Pub/Sub forgets whom it does not reach and says nothing. So whoever follows a channel is told to
look at the log after each reconnection, and silence is probed: a server that does not answer a
PING in time is left, since a frozen one looks exactly like a quiet one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any, Final

import hiredis
from redis.exceptions import RedisError

from headrace.adapters.redis.wire import Wire, connect
from headrace.adapters.streams.buffer import Buffer
from headrace.adapters.streams.redis.following import Topic
from headrace.contracts.logs import read_message
from headrace.core.errors import Unavailable

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Words:
    """What to say, and what is heard; `at_once`: so many channels in one command."""

    subscribe: bytes
    unsubscribe: bytes
    message: bytes
    at_once: int


CLASSIC: Final = Words(b"subscribe", b"unsubscribe", b"message", at_once=100)


def _nobody_minds(_: str) -> None:
    return


class Live:
    """`run` must be running for anything to arrive; it connects when first somebody follows.

    `on_trouble` is told when a channel may be elsewhere: what the server said, or nothing.
    """

    def __init__(
        self,
        url: str,
        *,
        tick_s: float,
        random: Random,
        words: Words = CLASSIC,
        on_trouble: Callable[[str], None] = _nobody_minds,
    ) -> None:
        self._url, self._tick_s, self._random = url, tick_s, random
        self._words, self._on_trouble = words, on_trouble
        self._topics: dict[bytes, Topic] = {}
        # SUBSCRIBEs sent and not yet answered: after a quick unsubscribe and subscribe, the first
        # answer is to the old one.
        self._asked: Counter[bytes] = Counter()
        self._wire: Wire | None = None
        self._wanted = asyncio.Event()
        self._down: str | None = None  # why the last attempt to connect failed
        self._failures = 0

    async def join(self, channel: bytes, buffer: Buffer) -> Topic:
        topic = self.topic(channel)
        topic.buffers.add(buffer)
        return topic

    def leave(self, channel: bytes, topic: Topic) -> None:
        self.drop(channel, topic)

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
            for topic in self._topics.values():
                topic.here = False
            self._failures += 1  # until a subscription is acknowledged: flapping is slowed down
            self._on_trouble("")
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
        self._fail(self._down)
        self._on_trouble("")

    def _fail(self, why: str) -> None:
        for topic in self._topics.values():
            if not topic.acknowledged.done():
                topic.acknowledged.set_exception(Unavailable("Redis", why))

    def topic(self, channel: bytes) -> Topic:
        """Raises Unavailable while nobody answers."""
        if self._down is not None:
            raise Unavailable("Redis", self._down)
        topic = self._topics.get(channel)
        if topic is None or _failed(topic):
            topic = Topic(asyncio.get_running_loop().create_future())
            self.adopt(channel, topic)
        return topic

    def adopt(self, channel: bytes, topic: Topic) -> None:
        """Also one that another has let go; whoever follows it is told to look once it is here."""
        self._wanted.set()
        topic.here = False
        self._topics[channel] = topic
        if self._wire is not None:
            self._subscribe(self._wire, [channel])

    def drop(self, channel: bytes, topic: Topic) -> bool:
        """Whether it was this one that is followed."""
        if self._topics.get(channel) is not topic:
            return False
        del self._topics[channel]
        if self._wire is not None:
            self._wire.send(self._words.unsubscribe, channel)
        return True

    def let_go(self, channel: bytes) -> Topic:
        """For another to adopt."""
        topic = self._topics.pop(channel)
        del self._asked[channel]
        if topic.here and self._wire is not None:
            self._wire.send(self._words.unsubscribe, channel)
        return topic

    @property
    def useless(self) -> bool:
        return not self._topics and self._down is not None

    def ask_again(self) -> None:
        """For what the server let go, or did not take."""
        if self._wire is not None:
            gone = [name for name, topic in self._topics.items() if not topic.here]
            self._subscribe(self._wire, [name for name in gone if not self._asked[name]])

    def _subscribe(self, wire: Wire, channels: Iterable[bytes]) -> None:
        rest = iter(channels)
        while some := list(islice(rest, self._words.at_once)):
            self._asked.update(some)
            wire.send(self._words.subscribe, *some)

    def _on_reply(self, reply: Any) -> None:
        # No class patterns for what stands in them, bytes always: they cost more than all else here.
        match reply:
            case [self._words.message, channel, message]:
                self._on_message(channel, message)
            case [self._words.subscribe, channel, _]:
                self._on_subscribed(channel)
            case [self._words.unsubscribe, channel, _]:
                self._on_unsubscribed(channel)
            case hiredis.ReplyError():
                self._on_error(str(reply))
            case _:  # a PONG, or the loss of the wire
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
        topic.here = True
        if not topic.acknowledged.done():
            topic.acknowledged.set_result(None)
            return
        for buffer in topic.buffers:
            buffer.look()

    def _on_unsubscribed(self, channel: bytes) -> None:
        """By us, or by a node of a cluster whose slot has moved."""
        topic = self._topics.get(channel)
        if topic is not None and topic.here:
            topic.here = False
            self._on_trouble("")

    def _on_error(self, why: str) -> None:
        """Which channel it was for it does not say. Where that is another node's, somebody will find it."""
        self._asked.clear()
        if not why.startswith("MOVED"):
            self._fail(why)
        self._on_trouble(why)


def _failed(topic: Topic) -> bool:
    return topic.acknowledged.done() and topic.acknowledged.exception() is not None
