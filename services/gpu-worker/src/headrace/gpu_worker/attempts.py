"""The attempts this worker holds: how long it may trust each, and why one should end.

Laws:
1. The trust window ends before the lease does, counted from before the lease was asked for: a
   worker that was paused or cut off stops by itself before somebody else may start.
2. The first reason to end wins, except LOST and DONE: who is not the holder any more, or not the first of a
   gang, says nothing at all.
3. UNTRUSTED is not LOST: where nobody was there to renew the lease, nobody else was there to take
   the job either. So it is given back, once somebody listens, and costs nothing; if it is another's
   by then, its epoch refuses us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum

from structlog.contextvars import bound_contextvars

from headrace.contracts.ids import BlobId, JobId
from headrace.contracts.messages import Grant
from headrace.telemetry.tracing import trace_id


class Why(StrEnum):
    """Why an attempt should end before its engine is done."""

    CANCELLED = "cancelled"  # somebody asked for it
    DEADLINE = "deadline"  # it ran longer than the job allows
    DRAINED = "drained"  # the worker leaves; the job goes back at no cost
    # Its child was killed for another job's sake, or it had no devices in time; likewise.
    INTERRUPTED = "interrupted"
    UNTRUSTED = "untrusted"  # no heartbeat was answered in time: it may not be ours any more
    LOST = "lost"  # not ours any more
    DONE = "done"  # its part of a gang: the first worker reports


@dataclass(frozen=True, slots=True)
class Line:
    """What somebody waits for, in words, and the jobs that are before it."""

    what: str  # as `contracts.messages.Waits` has it
    note: str
    before: Sequence[JobId] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    since: float
    look: Callable[[], Line]


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint that is stored."""

    blob: BlobId
    step: int


class Attempt:
    """One grant in hand."""

    def __init__(self, grant: Grant, *, trusted_until: float, claim_s: float) -> None:
        self.grant = grant
        self.claim_s = claim_s
        self.trusted_until = trusted_until
        self.fraction: float | None = None
        self.why: Why | None = None
        self.ending = asyncio.Event()
        self.lost = asyncio.Event()
        self.devices: list[str] | None = None  # that it came with; None: it has still to ask
        self.kept: Kept | None = None  # the latest, told by each heartbeat and by the result
        self._told_in: int | None = None
        self.answered = asyncio.Event()  # the dispatcher has heard of the latest
        self.answered.set()
        self.waits: Wait | None = None  # for something inside this worker
        self.devices_since: float | None = None  # has them, of those that gangs share
        self.at_work_since: float | None = None  # its engine has begun

    def ids(self) -> dict[str, str]:
        """What every log line about it names."""
        of = trace_id(self.grant.trace)
        named = {"job_id": self.grant.job, "tenant": self.grant.tenant}
        return named if of is None else {**named, "trace_id": of}

    def named(self) -> AbstractContextManager[object]:
        """For lines that are written outside of its own context."""
        return bound_contextvars(**self.ids())

    @property
    def doubtful(self) -> bool:
        """Somebody else may hold the job: its stream is not ours to write."""
        return self.why in {Why.UNTRUSTED, Why.LOST}

    @property
    def speaks(self) -> bool:
        """Of a gang over several workers the first alone says what goes on."""
        return self.grant.part is None or self.grant.part.rank == 0

    def renew(self, trusted_until: float) -> None:
        self.trusted_until = max(self.trusted_until, trusted_until)

    def keep(self, kept: Kept) -> None:
        self.kept, self._told_in = kept, None
        self.answered.clear()

    def tell(self, sequence: int) -> Kept | None:
        """What the heartbeats of this number say that it has left behind."""
        if self._told_in is None:
            self._told_in = sequence
        return self.kept

    def hear(self, sequence: int) -> None:
        """These heartbeats were answered."""
        if self._told_in is not None and sequence >= self._told_in:
            self.answered.set()

    def end(self, why: Why) -> None:
        if self.why is None or why in {Why.LOST, Why.DONE}:
            self.why = why
        self.ending.set()
        if why is Why.LOST:
            self.lost.set()


class Attempts:
    """Those that count as held: from the grant until the result is kept."""

    def __init__(self) -> None:
        self._held: dict[JobId, Attempt] = {}

    def __iter__(self) -> Iterator[Attempt]:
        return iter(list(self._held.values()))

    def add(self, attempt: Attempt) -> None:
        self._held[attempt.grant.job] = attempt

    def remove(self, attempt: Attempt) -> None:
        if self._held.get(attempt.grant.job) is attempt:
            del self._held[attempt.grant.job]

    def find(self, job: JobId, epoch: int) -> Attempt | None:
        attempt = self._held.get(job)
        return attempt if attempt is not None and attempt.grant.epoch == epoch else None

    def end_all(self, why: Why) -> None:
        for attempt in self:
            attempt.end(why)
