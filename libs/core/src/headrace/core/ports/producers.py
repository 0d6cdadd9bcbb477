"""Producers outside: who writes a task's frames without being a worker of ours, and what it last said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.contracts.ids import JobId, WorkerId
from headrace.contracts.producing import End


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One task's producer, the latest of them."""

    epoch: int
    producer: WorkerId
    alive: bool  # heard of within its own lease
    end: End | None = None
    told_to_stop: bool = False


class Producers(Protocol):
    async def look(self, jobs: Sequence[JobId]) -> Mapping[JobId, Seen]:
        """Those that a producer has opened. Raises Unavailable."""

    async def stop(self, jobs: Sequence[JobId]) -> None:
        """Ask for these to end. Raises Unavailable."""

    async def close(self, job: JobId, epoch: int, *, if_silent: bool = False) -> bool:
        """Nobody opens it any more, and who has it is refused.

        False: somebody opened it in a later epoch; with `if_silent`, also one that was heard of after
        all. Raises Unavailable.
        """

    async def forget(self, jobs: Sequence[JobId]) -> None:
        """What their producers said is gone, and nobody opens them any more. Raises Unavailable."""
