"""Logs and channels in memory, which keep every promise but that of outliving the process."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from operator import attrgetter

from typing_extensions import override

from headrace.adapters.streams.buffer import Buffer
from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, JobId, Position
from headrace.contracts.logs import LAST_EPOCH
from headrace.core.job import Verdict
from headrace.core.ports.streams import Batch, Page, Streams

_position = attrgetter("position")


@dataclass(slots=True)
class _Log:
    dies_at: float
    top: Position = START
    entries: list[Entry] = field(default_factory=list)


class InProcessStreams(Streams):
    """One object, shared by every role in the loop."""

    def __init__(
        self,
        *,
        maxlen: int = 10_000,
        ttl_s: float = 3600.0,
        max_logs: int = 10_000,
        max_bytes: int = 256 * 2**20,  # previews are large; this is the memory of every role here
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._maxlen, self._ttl_s = maxlen, ttl_s
        self._max_logs, self._max_bytes = max_logs, max_bytes
        self._bytes = 0
        self._clock = clock
        # Every append moves its log to the end, so the first one dies first.
        self._logs: OrderedDict[JobId, _Log] = OrderedDict()
        self._watchers: dict[JobId, set[Buffer]] = {}

    @override
    async def append(self, batches: Sequence[Batch]) -> list[Verdict]:
        return [self._append(batch) for batch in batches]

    @override
    async def read(self, job: JobId, after: Position, *, limit: int) -> Page:
        self._bury()
        log = self._logs.get(job)
        if log is None:
            return Page(entries=(), reaches=False)
        return _page(log.entries, after, limit)

    @override
    @asynccontextmanager
    async def follow(self, job: JobId) -> AsyncGenerator[Buffer]:
        buffer = Buffer()
        self._watchers.setdefault(job, set()).add(buffer)
        try:
            yield buffer
        finally:
            self._watchers[job].discard(buffer)
            if not self._watchers[job]:
                del self._watchers[job]

    @override
    async def discard(self, jobs: Sequence[JobId]) -> None:
        for job in jobs:
            if (log := self._logs.pop(job, None)) is not None:
                self._bytes -= _size(log.entries)
            self._logs[job] = _Log(self._clock() + self._ttl_s, Position(LAST_EPOCH, 1))
        self._bury()

    @override
    async def ping(self) -> None:
        return

    def _append(self, batch: Batch) -> Verdict:
        self._bury()
        log = self._logs.setdefault(batch.job, _Log(0.0))
        if batch.epoch < log.top.epoch:
            return Verdict.STALE
        new = _numbered(batch, log.top)
        if new:
            log.entries += new
            log.top = new[-1].position
            self._bytes += _size(new) - _size(log.entries[: -self._maxlen])
            del log.entries[: -self._maxlen]
        log.dies_at = self._clock() + self._ttl_s
        self._logs.move_to_end(batch.job)
        if new:
            for buffer in self._watchers.get(batch.job, ()):
                buffer.offer(new)
        return Verdict.APPLIED

    def _bury(self) -> None:
        """Forget what has expired, and what is too much."""
        now = self._clock()
        while self._logs:
            first = next(iter(self._logs))
            if self._logs[first].dies_at > now and not self._too_much():
                return
            self._bytes -= _size(self._logs.pop(first).entries)

    def _too_much(self) -> bool:
        logs = len(self._logs)
        return logs > self._max_logs or (logs > 1 and self._bytes > self._max_bytes)


def _size(entries: Sequence[Entry]) -> int:
    return sum(len(entry.data) for entry in entries)


def _numbered(batch: Batch, top: Position) -> list[Entry]:
    """The batch's frames that are not in the log yet, at their positions."""
    last = top.seq if batch.epoch == top.epoch else 0
    first = last + 1 if batch.first_seq is None else batch.first_seq
    return [
        Entry(position=Position(batch.epoch, seq), type=type_, data=data)
        for seq, (type_, data) in enumerate(batch.frames, start=first)
        if seq > last
    ]


def _page(entries: Sequence[Entry], after: Position, limit: int) -> Page:
    start = bisect_right(entries, after, key=_position)
    reaches = _reaches(entries, start, after)
    return Page(entries=tuple(entries[start : start + limit]), reaches=reaches)


def _reaches(entries: Sequence[Entry], start: int, after: Position) -> bool:
    if after == START:
        return bool(entries) and entries[0].position == Position(0, 1)
    return start > 0 and entries[start - 1].position == after
