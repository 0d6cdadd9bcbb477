"""Crash points: the process dies at the n-th pass of a named step, seen from the ports it uses.

A point is `<verb>.<moment>`. Verbs of the store are told by what its transaction did; those of the
bus by the kind of message. Nothing in the product knows of them (see ADR 0006).
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, cast

import msgspec

from headrace.contracts.frames import TERMINAL_TYPES
from headrace.contracts.ids import BlobId, JobId, Position, TenantId
from headrace.contracts.messages import decode
from headrace.core.job import Verdict
from headrace.core.ports.blobs import Blobs
from headrace.core.ports.bus import Bus, Deliveries, Delivery, Depth, Parcel, Sent
from headrace.core.ports.store import Hints, Store, Transaction
from headrace.core.ports.streams import Batch, Page, Streams, Subscription

# What a transaction did, most telling first.
_VERBS: Final[Sequence[tuple[str, frozenset[str]]]] = (
    ("erase", frozenset({"erase"})),
    ("erase", frozenset({"erase_batch"})),
    ("around", frozenset({"erase_around"})),
    ("clear", frozenset({"lock_deletion", "drop_remnants"})),
    ("submit", frozenset({"insert"})),
    ("claim", frozenset({"open_attempts"})),
    ("sweep", frozenset({"expired_leases", "close_attempts"})),
    ("record", frozenset({"close_attempts"})),
    ("reserve", frozenset({"reserve"})),
    ("mark", frozenset({"mark_sent"})),
    ("wish", frozenset({"ask_cancel"})),
    ("honour", frozenset({"cancel_wishes", "save"})),
    ("due", frozenset({"due", "save"})),
    ("heartbeat", frozenset({"renew"})),
)
_EVEN_IF_EMPTY: Final = frozenset({"expired_leases", "cancel_wishes", "due"})

POINTS: Final[Mapping[str, tuple[str, ...]]] = {
    "api": ("submit.before_commit", "submit.after_commit", "wish.after_commit"),
    "dispatcher": (
        *("reserve.before_commit", "reserve.after_commit", "offer.before_send"),
        *("offer.after_send", "mark.before_commit", "mark.after_commit"),
        *("claim.before_commit", "claim.after_commit", "grants.before_send", "grants.after_send"),
        *("record.before_commit", "record.after_commit", "terminal.before_append"),
        *("terminal.after_append", "heartbeat.after_commit"),
    ),
    "gpu-worker": (
        *("claims.before_send", "claims.after_send", "work.before_ack", "work.after_ack"),
        *("token.after_append", "results.before_send", "results.after_send"),
    ),
}


# What is on the way while something is removed.
ERASING: Final[Mapping[str, tuple[str, ...]]] = {
    "api": (
        *("erase.before_commit", "erase.after_commit", "frames.before_discard"),
        *("frames.after_discard", "blob.before_delete", "blob.after_delete"),
        *("clear.before_commit", "clear.after_commit"),
    ),
    "dispatcher": (
        *("erase.before_commit", "erase.after_commit", "frames.before_discard"),
        *("frames.after_discard", "blob.before_delete", "blob.after_delete"),
        *("clear.before_commit", "clear.after_commit"),
    ),
}


class Points:
    def __init__(self, armed: str, nth: int) -> None:
        self._armed, self._left = armed, nth

    def reach(self, name: str) -> None:
        if name != self._armed:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class _Noted:
    """A transaction that remembers which of its methods were given something to do."""

    def __init__(self, inner: Transaction) -> None:
        self._inner = inner
        self._did: set[str] = set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._inner, name)

        def noted(*given: Any, **named: Any) -> Any:
            if name in _EVEN_IF_EMPTY or not given or given[0]:
                self._did.add(name)
            return method(*given, **named)

        return noted

    @property
    def verb(self) -> str | None:
        return next((verb for verb, signs in _VERBS if signs <= self._did), None)


class PointedStore:
    def __init__(self, inner: Store, points: Points) -> None:
        self._inner, self._points = inner, points

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Transaction]:
        async with self._inner.begin() as tx:
            noted = _Noted(tx)
            yield cast("Transaction", noted)
            self._points.reach(f"{noted.verb}.before_commit")
        self._points.reach(f"{noted.verb}.after_commit")

    def hints(self) -> AbstractAsyncContextManager[Hints]:
        return self._inner.hints()

    async def ping(self) -> None:
        await self._inner.ping()


class PointedBus:
    def __init__(self, inner: Bus, points: Points) -> None:
        self._inner, self._points = inner, points

    async def send(self, parcels: Sequence[Parcel]) -> list[Sent]:
        kind = kind_of(parcels[0].body) if parcels else ""
        self._points.reach(f"{kind}.before_send")
        answers = await self._inner.send(parcels)
        self._points.reach(f"{kind}.after_send")
        return answers

    async def declare(self, queues: Sequence[str]) -> None:
        await self._inner.declare(queues)

    @asynccontextmanager
    async def receive(self, queue: str, *, prefetch: int) -> AsyncGenerator[Deliveries]:
        async with self._inner.receive(queue, prefetch=prefetch) as deliveries:
            yield _pointed(deliveries, queue.split(".")[1], self._points)

    def mailbox(self, name: str) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        return self._inner.mailbox(name)

    async def depth(self, queue: str) -> Depth:
        return await self._inner.depth(queue)

    async def ping(self) -> None:
        await self._inner.ping()


class _Deliveries:
    """Not a generator: waiting for its next one may be cancelled and begun again."""

    def __init__(self, inner: Deliveries, what: str, points: Points) -> None:
        self._inner, self._what, self._points = inner, what, points

    @property
    def alive_s(self) -> float | None:
        return self._inner.alive_s

    def __aiter__(self) -> _Deliveries:
        return self

    async def __anext__(self) -> Delivery:
        return _PointedDelivery(await anext(self._inner), self._what, self._points)


def _pointed(inner: Deliveries, what: str, points: Points) -> Deliveries:
    return _Deliveries(inner, what, points)


class _PointedDelivery:
    def __init__(self, inner: Delivery, what: str, points: Points) -> None:
        self._inner, self._what, self._points = inner, what, points

    @property
    def body(self) -> bytes:
        return self._inner.body

    @property
    def headers(self) -> Mapping[str, str]:
        return self._inner.headers

    @property
    def redelivered(self) -> bool:
        return self._inner.redelivered

    async def ack(self) -> None:
        self._points.reach(f"{self._what}.before_ack")
        await self._inner.ack()
        self._points.reach(f"{self._what}.after_ack")

    async def requeue(self) -> None:
        await self._inner.requeue()

    async def bury(self, reason: str) -> None:
        await self._inner.bury(reason)


class PointedStreams:
    def __init__(self, inner: Streams, points: Points) -> None:
        self._inner, self._points = inner, points

    async def append(self, batches: Sequence[Batch]) -> list[Verdict]:
        types = {type_ for batch in batches for type_, _ in batch.frames}
        kind = "terminal" if types & TERMINAL_TYPES else next(iter(sorted(types)), "")
        kind = "token" if "token" in types else kind
        self._points.reach(f"{kind}.before_append")
        verdicts = await self._inner.append(batches)
        self._points.reach(f"{kind}.after_append")
        return verdicts

    async def read(self, job: JobId, after: Position, *, limit: int) -> Page:
        return await self._inner.read(job, after, limit=limit)

    def follow(self, job: JobId) -> AbstractAsyncContextManager[Subscription]:
        return self._inner.follow(job)

    async def discard(self, jobs: Sequence[JobId]) -> None:
        kind = "frames" if jobs else ""
        self._points.reach(f"{kind}.before_discard")
        await self._inner.discard(jobs)
        self._points.reach(f"{kind}.after_discard")

    async def ping(self) -> None:
        await self._inner.ping()


class PointedBlobs:
    def __init__(self, inner: Blobs, points: Points) -> None:
        self._inner, self._points = inner, points

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def delete(self, tenant: TenantId, blob: BlobId) -> None:
        self._points.reach("blob.before_delete")
        await self._inner.delete(tenant, blob)
        self._points.reach("blob.after_delete")


def kind_of(body: bytes) -> str:
    """The kind of a message without its version: 'offer', 'claims', 'results'."""
    try:
        return str(decode(body).__struct_config__.tag).partition(".")[0]
    except msgspec.DecodeError:
        return "unreadable"
