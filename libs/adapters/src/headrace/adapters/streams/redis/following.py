"""One watcher's place at a channel, for as long as he follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from typing_extensions import override

from headrace.adapters.streams.buffer import Buffer
from headrace.core.errors import Unavailable

ACKNOWLEDGED_WITHIN_S: Final = 2.0


@dataclass(slots=True)
class Topic:
    """One channel, and those in this process who follow it."""

    acknowledged: asyncio.Future[None]
    buffers: set[Buffer] = field(default_factory=set)
    here: bool = False  # the connection that there is now has it


class Channels(Protocol):
    """Those of a server, or of a cluster."""

    async def join(self, channel: bytes, buffer: Buffer) -> Topic:
        """Raises Unavailable while nobody answers; then the buffer is nowhere."""

    def leave(self, channel: bytes, topic: Topic) -> None:
        """For one whose buffer is out of it already."""


Find: TypeAlias = Callable[[], Awaitable[Channels]]


class Following(AbstractAsyncContextManager[Buffer]):
    """No generator, since thousands are open at a time."""

    __slots__ = ("_buffer", "_channel", "_channels", "_find", "_topic")

    _channels: Channels
    _topic: Topic

    def __init__(self, find: Find, channel: bytes) -> None:
        self._find, self._channel, self._buffer = find, channel, Buffer()

    @override
    async def __aenter__(self) -> Buffer:
        """Raises Unavailable."""
        self._channels = await self._find()
        self._topic = await self._channels.join(self._channel, self._buffer)
        try:
            await _acknowledged(self._topic)
        except BaseException:
            self._leave()
            raise
        return self._buffer

    @override
    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self._topic.buffers.discard(self._buffer)
        if not self._topic.buffers:
            self._channels.leave(self._channel, self._topic)


async def _acknowledged(topic: Topic) -> None:
    try:
        async with asyncio.timeout(ACKNOWLEDGED_WITHIN_S):
            # Others may wait for the same answer: leaving must not cancel it for them.
            await asyncio.shield(topic.acknowledged)
    except TimeoutError:
        raise Unavailable("Redis", "a subscription was not acknowledged in time") from None
