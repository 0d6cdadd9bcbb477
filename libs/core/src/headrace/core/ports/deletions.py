"""Deletions: what somebody wants gone, what of it is still there, and what was removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from headrace.contracts.ids import BatchId, BlobId, DeletionId, JobId, RunId, TenantId


class Kind(StrEnum):
    """Of what is still to go."""

    JOB = "job"  # it has not ended
    RUN = "run"
    BATCH = "batch"  # it is not over, or has items
    LOG = "log"  # a job's frames
    PRODUCER = "producer"  # what a job's producer outside has said
    BLOB = "blob"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Remnant:
    kind: Kind
    tenant: TenantId  # whose; of a blob, where it is kept
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Which jobs of a tenant are still to be looked for, newest first."""

    made_before: datetime
    ended_before: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)  # all of these
    cancel: bool = False  # what has not ended is asked to, and goes then
    everything: bool = False  # all that the tenant has, beside its jobs
    place: tuple[datetime, JobId] | None = None  # behind this one
    blobs_after: str | None = None  # of everything, once all rows are gone: behind this one


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """Nothing in it, or in what it leaves, says what was in the jobs."""

    id: DeletionId
    tenant: TenantId
    subject: str  # `job ID`, `run ID`, `batch ID`, `jobs` or `tenant`
    who: str  # the id of the key, or whoever the audit names
    sweep: Sweep | None = None  # None: everything it is about has been found
    removed: Mapping[str, int] = field(default_factory=dict)
    tries: int = 0  # since something last went
    next_at: datetime | None = None  # when a dispatcher looks at it; None: it is over
    asked_at: datetime | None = None  # set by the store, as is the next
    finished_at: datetime | None = None


class Deletions(Protocol):
    """The part of a transaction that removes, and knows what is still to be removed."""

    async def insert_deletion(self, deletion: Deletion) -> Deletion: ...

    async def lock_deletion(self, deletion: DeletionId) -> Deletion | None:
        """For changing."""

    async def deletion(
        self, tenant: TenantId | None, deletion: DeletionId
    ) -> tuple[Deletion, int] | None:
        """And how many remnants it has. None as the tenant: anybody's."""

    async def deletion_of(self, tenant: TenantId, subject: str) -> Deletion | None:
        """The latest that is about this; of a job, also one that was about more than that."""

    async def open_deletions(self, tenant: TenantId, *, at_most: int) -> int:
        """How many are not over; counts to `at_most`."""

    async def due_deletions(self, *, limit: int) -> list[Deletion]:
        """Those whose `next_at` has come; locked, others are skipped."""

    async def save_deletion(self, deletion: Deletion) -> None:
        """What is left to look for, what was removed, and when to look again; without that, it is over."""

    async def erase(
        self, deletion: DeletionId, *, jobs: Sequence[JobId] = (), runs: Sequence[RunId] = ()
    ) -> Mapping[str, int]:
        """Remove these with every row that is about them; answers how many rows of what.

        Of jobs those that have ended, with their shadows. What lies outside the store, and the blobs that
        nobody else names, are remnants from then on, and the jobs are remembered as erased.
        """

    async def erase_batch(
        self, deletion: DeletionId, batch: BatchId, *, limit: int
    ) -> tuple[Mapping[str, int], bool]:
        """Remove one that is over: itself at once, and of its items `limit`, with their jobs as `erase` does.

        Answers how many rows of what, and whether something of it is left. Idempotent.
        """

    async def erase_around(
        self, deletion: DeletionId, tenant: TenantId, *, before: datetime, limit: int
    ) -> Mapping[str, int]:
        """Remove what a tenant has beside jobs, runs and batches, made before then; at most `limit` of each.

        Also what the jobs that were erased by it have registered. What has come of its uploads, and
        artefacts that nobody else names, are remnants from then on.
        """

    async def add_remnants(self, deletion: DeletionId, remnants: Sequence[Remnant]) -> None:
        """Idempotent."""

    async def remnants(
        self, deletion: DeletionId, kinds: Sequence[Kind], *, limit: int
    ) -> list[Remnant]: ...

    async def drop_remnants(
        self, deletion: DeletionId, remnants: Sequence[Remnant]
    ) -> list[Remnant]:
        """They are gone; answers those that were there until now."""

    async def note_late(self, named: Mapping[JobId, Sequence[BlobId]]) -> None:
        """Blobs that somebody stored for jobs which are erased: they go too."""

    async def purge_deletions(self, *, finished_before: datetime, limit: int) -> int:
        """Forget what is over, and which jobs were erased by it; how many."""
