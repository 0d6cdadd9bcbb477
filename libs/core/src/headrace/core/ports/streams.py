"""The live view: one log per job and a way to follow it. It shows; it is never the record of truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from headrace.contracts.frames import Entry
from headrace.contracts.ids import JobId, Position
from headrace.core.job import Verdict


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames of one job and epoch, in order; each is (type, JSON).

    `first_seq` numbers the first frame: a batch sent twice is kept once. None lets the log number
    them after its top (for the dispatcher, whose frames open and close epochs).
    """

    job: JobId
    epoch: int
    frames: Sequence[tuple[str, bytes]]
    first_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a log.

    `reaches`: the log still holds the position asked for (or, from the start, its first frame), so
    that nothing between it and `entries` is missing.
    """

    entries: Sequence[Entry]
    reaches: bool


# Takes some live frames, all or none, at once: it neither waits nor raises. False: it took none.
Take: TypeAlias = Callable[[Sequence[Entry]], bool]


class Subscription(Protocol):
    __slots__ = ()  # thousands of them are kept

    async def next(self, within_s: float, take: Take | None = None) -> Sequence[Entry]:
        """The next frames as they are published, in order.

        While this waits, `take` is offered them first, by the hand of whoever reads the channel; what
        it takes is not returned, and the wait goes on. The first that it does not take ends it.

        Empty after `within_s` seconds of silence, or as soon as something may have been missed
        (reconnected, overflowed its bounded buffer): look at the log. Never raises for an outage.
        """


class Streams(Protocol):
    async def append(self, batches: Sequence[Batch]) -> list[Verdict]:
        """Fence, append, bound, expire and publish, atomically per batch; verdicts in order.

        STALE: the log has seen a later epoch. Raises Unavailable (then nothing is known).
        """

    async def read(self, job: JobId, after: Position, *, limit: int) -> Page:
        """Up to `limit` frames after a position. An empty log never reaches. Raises Unavailable."""

    def follow(self, job: JobId) -> AbstractAsyncContextManager[Subscription]:
        """Entered only once the subscription is acknowledged: what is appended from then on is seen.

        Raises Unavailable on entering.
        """

    async def discard(self, jobs: Sequence[JobId]) -> None:
        """Forget these logs. For as long as a log lives, what is appended to one is STALE, whatever its epoch.

        Raises Unavailable.
        """

    async def ping(self) -> None:
        """Raises Unavailable."""
