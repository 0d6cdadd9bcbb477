"""Runs of pipelines, and the pieces that their stages are done in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from headrace.contracts.ids import JobId, RunId, TenantId
from headrace.core.ports.blobs import BlobRef
from headrace.core.run import Piece, Run


@dataclass(frozen=True, slots=True)
class PurgedRuns:
    runs: int
    orphans: Sequence[BlobRef]  # blobs that nobody names any more


class Runs(Protocol):
    """The part of a transaction that keeps runs.

    A run is locked after jobs, and no job that is there already is locked after a run: so a dispatcher
    that ends a job and one that stops a run never wait for each other in a ring.
    """

    async def insert_run(self, run: Run) -> Run: ...

    async def find_run(self, tenant: TenantId, run: RunId) -> Run | None:
        """To look at."""

    async def lock_runs(self, wanted: Sequence[RunId]) -> list[Run]:
        """For changing, by id, so that whoever changes several does not wait in a ring."""

    async def page_runs(
        self, tenant: TenantId, *, before: tuple[datetime, RunId] | None, limit: int
    ) -> list[Run]:
        """Newest first."""

    async def save_run(self, run: Run) -> None:
        """Its state, error, stages and when it should be over. `finished_at` is set by a state that is over, and unset by others."""

    async def pieces(self, run: RunId) -> list[Piece]:
        """By stage and index."""

    async def begin_pieces(self, run: RunId, pieces: Sequence[Piece]) -> list[bool]:
        """New ones, or the next try of those that are there; False: that try has begun already."""

    async def save_pieces(self, run: RunId, pieces: Sequence[Piece]) -> None:
        """State, output and error; only while it is still at that try."""

    async def overdue_runs(self, path: str, *, limit: int) -> list[Run]:
        """Those that run though their deadline has passed, locked; none that somebody changes just now."""

    async def jobs_to_stop(self, path: str, *, limit: int) -> list[JobId]:
        """Jobs of runs that are ending, which nobody has asked to end yet."""

    async def purge_runs(
        self, *, finished_before: datetime, limit: int, tenant: TenantId | None = None
    ) -> PurgedRuns:
        """Delete runs that are over, with their pieces and uses of blobs."""
