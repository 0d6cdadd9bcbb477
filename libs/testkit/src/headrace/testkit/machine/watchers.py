"""Clients that watch, leave and come back where they were: what they saw, in the ledger's words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

import msgspec

from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, JobId, Position, TenantId
from headrace.core.job import Job
from headrace.core.ports.store import Store
from headrace.core.ports.streams import Streams
from headrace.core.usecases.watch import watch
from headrace.testkit.chaos.ledger import Told
from headrace.testkit.chaos.transcripts import order_flaws

QUIET_S = 0.05


@dataclass(slots=True)
class Watcher:
    store: Store
    streams: Streams
    tenant: TenantId
    job: JobId
    frames: list[Told] = field(default_factory=list)
    last: str = ""
    _cursor: Position = START
    _task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """From where it was, if it was there before."""
        self._task = asyncio.get_running_loop().create_task(self._read())

    async def come_back(self) -> None:
        if self._task is None or self._task.cancelled():
            await self.connect()

    async def drop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def see_the_end(self, within_s: float) -> None:
        await self.come_back()
        assert self._task is not None
        async with asyncio.timeout(within_s):
            await self._task

    async def _read(self) -> None:
        batches = watch(self.streams, self._snapshot, self.job, after=self._cursor, quiet_s=QUIET_S)
        async with aclosing(batches):
            async for batch in batches:
                self._take(batch)

    def _take(self, batch: Sequence[Entry]) -> None:
        for entry in batch:
            at, body = entry.position, msgspec.json.decode(entry.data)
            self.frames.append(Told(at.epoch, at.seq, entry.type, body))
            self._cursor, self.last = at, entry.type

    async def _snapshot(self) -> Job | None:
        async with self.store.begin() as tx:
            return await tx.find(self.tenant, self.job)

    def check(self, job: Job) -> None:
        """Every frame once and in order, or a reset where some are missing; then the truth."""
        assert list(order_flaws(self.frames)) == [], self.frames
        assert self.last == job.state, f"{self.job} was seen to end as {self.last}: {job.state}"
        words = [told for told in self.frames if told.type == "token"]
        assert all(told.body["text"] == str(told.epoch) for told in words), (
            "another attempt's words"
        )

    @property
    def resets(self) -> int:
        return sum(told.type == "reset" for told in self.frames)
