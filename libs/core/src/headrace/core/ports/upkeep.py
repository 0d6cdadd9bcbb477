"""What a store keeps for a while: answers to repeat, and the age at which anything may go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from headrace.contracts.ids import BlobId, JobId, TenantId
from headrace.core.ports.blobs import BlobRef


@dataclass(frozen=True, slots=True)
class Question:
    """A request that carries an idempotency key, which belongs to a tenant and a route."""

    tenant: TenantId
    route: str
    key: str
    fingerprint: str  # of the canonical request


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered the first time."""

    status: int
    body: str
    about: str | None = None  # the job or run that the body tells of, with which it goes


@dataclass(frozen=True, slots=True)
class Unasked:
    """The key is new, and taken by this transaction; its answer is to be remembered."""


@dataclass(frozen=True, slots=True)
class Different:
    """The key was used with another request."""


@dataclass(frozen=True, slots=True)
class BlobUse:
    """A job or a schedule names a blob, which is kept for as long as any of them is."""

    tenant: TenantId
    blob: BlobId
    used_by: str
    made: bool = False  # it is what the job made, which no other inherits


@dataclass(frozen=True, slots=True)
class Purged:
    jobs: int
    orphans: Sequence[BlobRef]  # blobs that nobody names any more


Recollection: TypeAlias = Unasked | Answer | Different


class Upkeep(Protocol):
    """The part of a transaction that keeps answers, and lets go of what is old."""

    async def recall(self, question: Question) -> Recollection:
        """A twin waits here until the first has committed."""

    async def remember(self, question: Question, answer: Answer) -> None: ...

    async def purge_keys(self, *, older_than: datetime, limit: int) -> int:
        """Forget idempotency keys and answers; how many. At most `limit` of each."""

    async def purge_fires(self, *, older_than: datetime, limit: int) -> int: ...

    async def purge_workers(self, *, seen_before: datetime, limit: int) -> int:
        """Forget workers that fell silent without a goodbye; how many."""

    async def purge_api_keys(self, *, useless_since: datetime, limit: int) -> int:
        """Forget keys that were revoked, or had expired, by then; how many. At most `limit` of each."""

    async def purge_engines(self, *, announced_before: datetime) -> None:
        """Forget engines that no worker has announced since then."""

    async def purge_jobs(self, *, finished_before: datetime, limit: int) -> Purged:
        """Delete terminal jobs with their attempts, dead letters, calls and uses of blobs."""

    async def use_blobs(self, uses: Sequence[BlobUse]) -> None:
        """Idempotent."""

    async def inherit_blobs(self, heirs: Mapping[JobId, JobId]) -> None:
        """What the old job (the key) was given, the new one names too."""

    async def unused(self, blobs: Sequence[BlobRef]) -> list[BlobRef]:
        """Those of these that nobody names."""
