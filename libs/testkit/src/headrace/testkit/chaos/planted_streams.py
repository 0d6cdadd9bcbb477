"""Planted bugs that sit in how streams are written and read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace

from typing_extensions import override

from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, JobId, Position
from headrace.core.job import Verdict
from headrace.core.ports.streams import Batch, Page, Streams, Subscription, Take
from headrace.wiring.recipes import Wiring

LATE_S = 0.3
ALL = 100_000


class PassingStreams:
    def __init__(self, inner: Streams) -> None:
        self.inner = inner

    async def append(self, batches: Sequence[Batch]) -> list[Verdict]:
        return await self.inner.append(batches)

    async def read(self, job: JobId, after: Position, *, limit: int) -> Page:
        return await self.inner.read(job, after, limit=limit)

    def follow(self, job: JobId) -> AbstractAsyncContextManager[Subscription]:
        return self.inner.follow(job)

    async def discard(self, jobs: Sequence[JobId]) -> None:
        await self.inner.discard(jobs)

    async def ping(self) -> None:
        await self.inner.ping()


def with_streams(wiring: Wiring, wrap: Callable[[Streams], Streams]) -> Wiring:
    @asynccontextmanager
    async def streams() -> AsyncGenerator[Streams]:
        async with wiring.streams() as opened:
            yield wrap(opened)

    return replace(wiring, streams=streams)


class Unfenced(PassingStreams):
    """Whatever epoch a batch speaks with, it goes to the end of the log."""

    @override
    async def append(self, batches: Sequence[Batch]) -> list[Verdict]:
        return await self.inner.append([await self._at_the_end(batch) for batch in batches])

    async def _at_the_end(self, batch: Batch) -> Batch:
        page = await self.inner.read(batch.job, START, limit=ALL)
        if not page.entries or page.entries[-1].position.epoch <= batch.epoch:
            return batch
        return replace(batch, epoch=page.entries[-1].position.epoch, first_seq=None)


def unfenced(wiring: Wiring) -> Wiring:
    return with_streams(wiring, Unfenced)


class _ReplayFirst(PassingStreams):
    """Subscribes only when the log has been read."""

    @override
    @asynccontextmanager
    async def follow(self, job: JobId) -> AsyncGenerator[Subscription]:
        async with AsyncExitStack() as stack:
            yield _Lazy(self.inner, job, stack)


class _Lazy:
    def __init__(self, inner: Streams, job: JobId, stack: AsyncExitStack) -> None:
        self._inner, self._job, self._stack = inner, job, stack
        self._live: Subscription | None = None

    async def next(self, within_s: float, take: Take | None = None) -> Sequence[Entry]:
        if self._live is None:
            await asyncio.sleep(LATE_S)
            follow = self._inner.follow(self._job)
            self._live = await self._stack.enter_async_context(follow)
        return await self._live.next(within_s, take)


def replay_before_subscribe(wiring: Wiring) -> Wiring:
    return with_streams(wiring, _ReplayFirst)
