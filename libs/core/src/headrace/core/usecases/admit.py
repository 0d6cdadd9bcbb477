"""Refuse what would only wait: caps on the jobs that a tenant, and all together, may have queued.

Counting must not cost more as more waits, so a count is remembered, with what this process admitted
since, and taken again a second later, or later still if it took long: no more than a fiftieth of the
time goes into counting. A cap may therefore be exceeded by the submissions that are under way, and
by what other processes admit between two counts of this one. It is a guard, not a quota.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil, expm1
from random import Random
from typing import Final

from headrace.contracts.ids import TenantId
from headrace.core.errors import QueuesFull, TenantQueueFull
from headrace.core.ports.store import Store, Transaction

_GOOD_FOR_S: Final = 1.0
_SHARE_OF_TIME: Final = 50
_SMOOTHED_OVER_S: Final = 30.0
_UNKNOWN_S: Final = 10.0
_SHORTEST_S: Final = 1.0
_LONGEST_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Jobs that are scheduled or queued. A tenant's own terms win."""

    per_tenant: int = 10_000
    in_all: int = 1_000_000


@dataclass(slots=True)
class _Count:
    """How many wait, and how fast they leave: what was there or admitted since, and is not now."""

    cap: int
    waiting: int = 0
    counted_at: float | None = None
    leaving_per_s: float | None = None  # None: never measured
    good_until: float = 0.0  # on the monotonic clock; at first it is no good
    under_way: bool = False  # somebody counts; others go by what was known

    def full_with(self, more: int) -> bool:
        return self.waiting + more >= self.cap

    def due(self, now: float) -> bool:
        return not self.under_way and now >= self.good_until

    def measure(self, found: int, now: float) -> None:
        """Smoothed: of jobs that take long, most seconds see none leave."""
        if self.counted_at is not None and now > self.counted_at:
            elapsed_s = now - self.counted_at
            rate = max(0, self.waiting - found) / elapsed_s
            before = rate if self.leaving_per_s is None else self.leaving_per_s
            self.leaving_per_s = before + (rate - before) * -expm1(-elapsed_s / _SMOOTHED_OVER_S)
        self.waiting, self.counted_at = found, now

    @property
    def room_in_s(self) -> float:
        """When one more may fit."""
        if self.leaving_per_s is None:
            return _UNKNOWN_S
        too_many = self.waiting - self.cap + 1
        return too_many / max(self.leaving_per_s, too_many / _LONGEST_S)


@dataclass(slots=True)
class Admission:
    """One of each process that takes jobs in."""

    caps: Caps
    monotonic: Callable[[], float] = time.monotonic
    random: Random = field(default_factory=Random)
    _of: dict[TenantId | None, _Count] = field(default_factory=dict)  # as many as there are keys

    async def look(self, store: Store, tenant: TenantId) -> None:
        """Count again what is too old. Raises Unavailable."""
        with self._due(tenant) as due:
            if due:
                async with store.begin() as tx:
                    await self._recount(tx, due)

    async def look_within(self, tx: Transaction, tenant: TenantId) -> None:
        """The same, in a transaction that has begun."""
        with self._due(tenant) as due:
            await self._recount(tx, due)

    def refuse_if_full(self, tenant: TenantId, *, more: int = 0, more_in_all: int = 0) -> None:
        """Were so many more there already, of the tenant and in all. Raises TenantQueueFull or QueuesFull."""
        count, all_ = self._count(tenant), self._count(None)
        if count.full_with(more):
            raise TenantQueueFull(count.cap, self._retry_after_s(count))
        if all_.full_with(more_in_all):
            raise QueuesFull(self._retry_after_s(all_))

    def room(self, tenant: TenantId, *, share: float) -> int:
        """For how many more there is room until this share of the places is taken."""
        counts = (self._count(tenant), self._count(None))
        return max(0, min(ceil(each.cap * share) - each.waiting for each in counts))

    def retry_after_s(self, tenant: TenantId) -> float:
        """When there may be more room."""
        return max(self._retry_after_s(self._count(whose)) for whose in (tenant, None))

    def _retry_after_s(self, count: _Count) -> float:
        """Up to half as long again, so that not all come back at once."""
        room_in_s = count.room_in_s * (1 + self.random.random() / 2)
        return min(_LONGEST_S, max(_SHORTEST_S, room_in_s))

    def count(self, tenant: TenantId) -> None:
        """One more was admitted."""
        self._count(tenant).waiting += 1
        self._count(None).waiting += 1

    def _count(self, whose: TenantId | None) -> _Count:
        cap = self.caps.in_all if whose is None else self.caps.per_tenant
        return self._of.setdefault(whose, _Count(cap))

    @contextmanager
    def _due(self, tenant: TenantId) -> Iterator[list[TenantId | None]]:
        """Whose counts are too old. Nobody else counts them meanwhile."""
        now = self.monotonic()
        due = [whose for whose in (tenant, None) if self._count(whose).due(now)]
        for whose in due:
            self._count(whose).under_way = True
        try:
            yield due
        finally:
            for whose in due:
                self._count(whose).under_way = False

    async def _recount(self, tx: Transaction, due: Sequence[TenantId | None]) -> None:
        for whose in due:
            count, begun = self._count(whose), self.monotonic()
            if whose is not None:
                own = (await tx.terms(whose)).max_queued
                count.cap = self.caps.per_tenant if own is None else own
            count.measure(await tx.backlog(whose, at_most=count.cap), self.monotonic())
            took_s = self.monotonic() - begun
            count.good_until = begun + took_s + max(_GOOD_FOR_S, _SHARE_OF_TIME * took_s)
