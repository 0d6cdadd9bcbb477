"""What attempts leave behind, as the store keeps it: of each job the latest, and only its holder's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.contracts.ids import BlobId, JobId
from headrace.core.ports.blobs import BlobRef


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """By the attempt that holds `epoch`."""

    job: JobId
    epoch: int
    blob: BlobId
    step: int


class Checkpoints(Protocol):
    """The part of a transaction that keeps them; both answer the blobs that nobody names any more."""

    async def keep_checkpoints(self, told: Sequence[LeftBehind]) -> list[BlobRef]:
        """In place of an older one. What an older epoch says, or says late, changes nothing.

        What is told of a job that was erased is a remnant of that.
        """

    async def drop_checkpoints(self, jobs: Sequence[JobId]) -> list[BlobRef]:
        """Nobody will go on from there."""
