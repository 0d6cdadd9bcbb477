"""A bus and a store that fail as a test tells them, and else do as the real ones behind them."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager

from headrace.core.errors import Misconfigured, Unavailable
from headrace.core.ports.bus import Bus, Deliveries, Delivery, Depth, Parcel, Sent
from headrace.core.ports.store import Hints, Store, Transaction


class UnrulyBus:
    """Answers the next parcels as told. What is not KEPT by that is lost, unless `keeps` is set."""

    def __init__(self, inner: Bus) -> None:
        self._inner = inner
        self._answers: deque[Sent] = deque()
        self.keeps = False  # also what it does not say to have kept
        self.sent: list[Parcel] = []
        self.wrong: set[str] = set()  # queues that exist with other properties

    def answer(self, answers: Iterable[Sent]) -> None:
        self._answers.extend(answers)

    async def send(self, parcels: Sequence[Parcel]) -> list[Sent]:
        self.sent += parcels
        return [await self._send(parcel) for parcel in parcels]

    async def _send(self, parcel: Parcel) -> Sent:
        told = self._answers.popleft() if self._answers else Sent.KEPT
        if told is not Sent.KEPT and not self.keeps:
            return told
        (kept,) = await self._inner.send([parcel])
        return kept if told is Sent.KEPT else told

    async def declare(self, queues: Sequence[str]) -> None:
        if wrong := self.wrong.intersection(queues):
            raise Misconfigured(f"Queue {min(wrong)!r} differs.", "Delete it.")
        await self._inner.declare(queues)

    def receive(self, queue: str, *, prefetch: int) -> AbstractAsyncContextManager[Deliveries]:
        return self._inner.receive(queue, prefetch=prefetch)

    def mailbox(self, name: str) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        return self._inner.mailbox(name)

    async def depth(self, queue: str) -> Depth:
        return await self._inner.depth(queue)

    async def ping(self) -> None:
        await self._inner.ping()


class UnrulyStore:
    """Unavailable while `away`, and at the transactions named to `break_at`, counted from 1."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.away = False
        self.begun = 0
        self._breaks: set[int] = set()

    def break_at(self, *turns: int) -> None:
        self._breaks.update(turns)

    def mend(self) -> None:
        """Forget the breaks that have not come."""
        self._breaks.clear()

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        self.begun += 1
        if self.away or self.begun in self._breaks:
            raise Unavailable("the store", "it was told to fail")
        return self._inner.begin()

    def hints(self) -> AbstractAsyncContextManager[Hints]:
        return self._inner.hints()

    async def ping(self) -> None:
        await self._inner.ping()
