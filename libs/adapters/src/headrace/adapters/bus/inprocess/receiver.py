"""Who takes letters from a queue in memory, and what may be done with one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType

from typing_extensions import override

from headrace.adapters.bus.inprocess.queue import Letter, LocalQueue
from headrace.core.ports.bus import Delivery

Bury = Callable[[Letter, str, str], None]  # a letter, the queue it came from, and why


class LocalReceiver(AsyncIterator["LocalDelivery"]):
    """At most `prefetch` letters in hand; closing gives back what is not settled."""

    def __init__(self, queue: LocalQueue, *, prefetch: int, bury: Bury) -> None:
        self.queue = queue
        self.bury = bury
        self._slots = asyncio.Semaphore(prefetch)
        self._in_hand: dict[int, Letter] = {}  # in the order in which they were taken
        self._taken = 0
        self._closed = False
        queue.receivers += 1

    @property
    def alive_s(self) -> float | None:
        """It lives as long as its process, and is in the same one as its queue."""
        return None if self._closed else 0.0

    @override
    async def __anext__(self) -> LocalDelivery:
        # A receiver that finds every letter ready would otherwise never let another have one.
        await asyncio.sleep(0)
        await self._slots.acquire()
        try:
            letter = await self.queue.take()
        except BaseException:
            self._slots.release()
            raise
        if self._closed:
            self.queue.give_back(letter)
            raise StopAsyncIteration
        self._taken += 1
        self._in_hand[self._taken] = letter
        return LocalDelivery(self, self._taken, letter)

    def settle(self, tag: int) -> Letter | None:
        """The letter, for the first who settles it; None for a second, or after closing."""
        letter = self._in_hand.pop(tag, None)
        if letter is not None:
            self._slots.release()
        return letter

    def close(self) -> None:
        self._closed = True
        self.queue.receivers -= 1
        while self._in_hand:
            _, letter = self._in_hand.popitem()  # newest first, so that the oldest ends up foremost
            self.queue.give_back(letter)


class LocalDelivery(Delivery):
    def __init__(self, receiver: LocalReceiver, tag: int, letter: Letter) -> None:
        self._receiver = receiver
        self._tag = tag
        self._letter = letter

    @property
    @override
    def body(self) -> bytes:
        return self._letter.body

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return MappingProxyType(dict(self._letter.headers))

    @property
    @override
    def redelivered(self) -> bool:
        return self._letter.returns > 0

    @override
    async def ack(self) -> None:
        self._receiver.settle(self._tag)

    @override
    async def requeue(self) -> None:
        letter = self._receiver.settle(self._tag)
        if letter is not None:
            self._receiver.queue.give_back(letter)

    @override
    async def bury(self, reason: str) -> None:
        letter = self._receiver.settle(self._tag)
        if letter is not None:
            self._receiver.bury(letter, self._receiver.queue.name, reason)
