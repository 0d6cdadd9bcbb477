"""Planted bugs that sit in how the bus is used."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from typing_extensions import override

from headrace.contracts.messages import Orders, decode
from headrace.core.ports.bus import Bus, Deliveries, Delivery, Depth, Parcel, Sent
from headrace.testkit.chaos.points import kind_of
from headrace.wiring.recipes import Wiring


class Passing:
    """As the one behind it; the planted ones replace a verb."""

    def __init__(self, inner: Bus) -> None:
        self.inner = inner

    async def send(self, parcels: Sequence[Parcel]) -> list[Sent]:
        return await self.inner.send(parcels)

    async def declare(self, queues: Sequence[str]) -> None:
        await self.inner.declare(queues)

    def receive(self, queue: str, *, prefetch: int) -> AbstractAsyncContextManager[Deliveries]:
        return self.inner.receive(queue, prefetch=prefetch)

    def mailbox(self, name: str) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        return self.inner.mailbox(name)

    async def depth(self, queue: str) -> Depth:
        return await self.inner.depth(queue)

    async def ping(self) -> None:
        await self.inner.ping()


def with_bus(wiring: Wiring, wrap: Callable[[Bus], Bus]) -> Wiring:
    @asynccontextmanager
    async def bus() -> AsyncGenerator[Bus]:
        async with wiring.bus() as opened:
            yield wrap(opened)

    return replace(wiring, bus=bus)


class _KeptAtOnce(Passing):
    """Says that an offer is kept, and sends it before the next one: whatever else is sent meanwhile."""

    def __init__(self, inner: Bus) -> None:
        super().__init__(inner)
        self._later: list[Parcel] = []

    @override
    async def send(self, parcels: Sequence[Parcel]) -> list[Sent]:
        if not parcels or kind_of(parcels[0].body) != "offer":
            return await self.inner.send(parcels)
        before, self._later = self._later, list(parcels)
        await self.inner.send(before)
        return [Sent.KEPT] * len(parcels)


def say_kept_and_send_later(wiring: Wiring) -> Wiring:
    return with_bus(wiring, _KeptAtOnce)


class _HintsAreLost(Passing):
    @override
    async def send(self, parcels: Sequence[Parcel]) -> list[Sent]:
        if any(_is_hint(parcel) for parcel in parcels):
            return [Sent.KEPT] * len(parcels)
        return await self.inner.send(parcels)


def _is_hint(parcel: Parcel) -> bool:
    message = decode(parcel.body)
    return isinstance(message, Orders) and message.sequence is None


def hints_are_lost(wiring: Wiring) -> Wiring:
    return with_bus(wiring, _HintsAreLost)


class _AckFirst(Passing):
    @override
    @asynccontextmanager
    async def receive(self, queue: str, *, prefetch: int) -> AsyncGenerator[Deliveries]:
        async with self.inner.receive(queue, prefetch=prefetch) as deliveries:
            yield _Acked(deliveries) if ".work." in queue else deliveries


class _Acked:
    def __init__(self, inner: Deliveries) -> None:
        self._inner = inner

    @property
    def alive_s(self) -> float | None:
        return self._inner.alive_s

    def __aiter__(self) -> _Acked:
        return self

    async def __anext__(self) -> Delivery:
        delivery = await anext(self._inner)
        await delivery.ack()
        return _Settled(delivery.body, delivery.headers)


class _Settled:
    redelivered = False

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        self.body, self.headers = body, headers

    async def ack(self) -> None:
        """It was, before anybody claimed."""

    async def requeue(self) -> None:
        """Too late."""

    async def bury(self, reason: str) -> None:
        """Too late."""


def ack_before_claim(wiring: Wiring) -> Wiring:
    return with_bus(wiring, _AckFirst)
