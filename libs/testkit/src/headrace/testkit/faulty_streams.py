"""Streams that fail as Redis does: live frames vanish unsaid, calls find nobody, logs are wiped."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from typing_extensions import override

from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.contracts.frames import Entry
from headrace.contracts.ids import JobId, Position
from headrace.core.errors import Unavailable
from headrace.core.job import Verdict
from headrace.core.ports.streams import Batch, Page, Streams, Subscription, Take

TTL_S = 60.0


class FaultyStreams(Streams):
    """Writing always works. `refusals` and `losses` count down as readers run into them."""

    def __init__(self, *, maxlen: int = 10_000) -> None:
        self.refusals = 0  # so many readings or followings to come will find nobody
        self.losses = 0  # so many turns of live frames to come will vanish
        self.deaf = False  # nobody can follow, although the log can be read
        self._now = 0.0
        self._inner = InProcessStreams(maxlen=maxlen, ttl_s=TTL_S, clock=lambda: self._now)

    def wipe(self) -> None:
        """Forget every log, as FLUSHALL does."""
        self._now += 2 * TTL_S

    @override
    async def append(self, batches: Sequence[Batch]) -> list[Verdict]:
        return await self._inner.append(batches)

    @override
    async def read(self, job: JobId, after: Position, *, limit: int) -> Page:
        self._refuse()
        return await self._inner.read(job, after, limit=limit)

    @override
    @asynccontextmanager
    async def follow(self, job: JobId) -> AsyncGenerator[Subscription]:
        self._refuse()
        if self.deaf:
            raise Unavailable("the fake", "nobody can follow")
        async with self._inner.follow(job) as subscription:
            yield _Lossy(subscription, self)

    @override
    async def discard(self, jobs: Sequence[JobId]) -> None:
        await self._inner.discard(jobs)

    @override
    async def ping(self) -> None:
        self._refuse()

    def _refuse(self) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            raise Unavailable("the fake", "it was told to refuse")


class _Lossy(Subscription):
    def __init__(self, inner: Subscription, faults: FaultyStreams) -> None:
        self._inner, self._faults = inner, faults

    @override
    async def next(self, within_s: float, take: Take | None = None) -> Sequence[Entry]:
        def taken(entries: Sequence[Entry]) -> bool:
            return self._faults.losses == 0 and take is not None and take(entries)

        while entries := await self._inner.next(within_s, taken):
            if self._faults.losses == 0:
                return entries
            self._faults.losses -= 1
        return ()
