"""Workers that come by HTTP: who they are, which waiting jobs fit them, and what they took."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from headrace.contracts.ids import ClaimId, JobId, Lane, TenantId, WorkerId
from headrace.core.fair_share import Share

CLASSES_AT_MOST: Final = 1000  # of jobs that want the same; a take sees no more of them
COUNTED_TO: Final = 100  # jobs of one class: counting a long backlog would cost each pop its length


@dataclass(frozen=True, slots=True)
class Class:
    """Jobs that want the same of a worker, as `core/wants.py` writes it."""

    wants: str
    waiting: int  # counted to COUNTED_TO


@dataclass(frozen=True, slots=True)
class Candidate:
    """A waiting job, offered to workers of ours or not."""

    job: JobId
    epoch: int
    tenant: TenantId
    lane: Lane
    wants: str
    offered_at: datetime | None  # also while its offer is on its way; None: it is offered to nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteWorker:
    """Times are the store's clock."""

    id: WorkerId
    name: str  # nobody else's
    tenant: TenantId  # whose it is
    kind: str
    said: Mapping[str, Any] = field(default_factory=dict)  # what it last said of itself
    info: str | None = None
    maintenance: str | None = None  # why it is not to work; None: it is
    paused: bool = False
    trusted: bool = False
    fulfilled: int = 0
    faulted: int = 0
    earned: float = 0.0
    speed: float | None = None  # as `core/speed.py` has it; None: nobody knows yet
    created_at: datetime | None = None
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeRecord:
    """A job that a remote worker was given, and once its result was taken down, when."""

    claim: ClaimId
    job: JobId
    tenant: TenantId  # whose job
    epoch: int
    worker: WorkerId
    model: str
    granted_at: datetime | None = None
    settled_at: datetime | None = None


class Remotes(Protocol):
    """The part of a transaction that remote workers need."""

    async def classes(self, path: str) -> list[Class]:
        """Of all jobs on this path that wait and may go to a remote worker."""

    async def wanting(self, path: str, *, start: TenantId | None, limit: int) -> list[Share]:
        """Tenants with such jobs, by name, from `start` on; their caps are not looked at."""

    async def fitting(
        self, path: str, tenants: Sequence[TenantId], classes: Sequence[str], *, each: int
    ) -> dict[TenantId, list[Candidate]]:
        """The heads of these tenants' queues, as far as they are of these classes; `each` of a class.

        In the order of `waiting`. None of a lane that is paused.
        """

    async def note_take(self, take: TakeRecord) -> None:
        """Once for a claim: what it took first stays."""

    async def take(self, claim: ClaimId) -> TakeRecord | None: ...

    async def settle_take(self, claim: ClaimId) -> bool:
        """False: somebody did before."""

    async def purge_takes(self, *, granted_before: datetime, limit: int) -> int: ...

    async def enlist(self, workers: Sequence[RemoteWorker]) -> dict[str, RemoteWorker]:
        """As each is kept, by name; who had the name first has it. No two of these have one name.

        Who is that worker was seen just now.
        """

    async def remote_worker(self, worker: WorkerId) -> RemoteWorker | None: ...

    async def remote_worker_named(self, name: str) -> RemoteWorker | None: ...

    async def remote_workers_named(self, names: Collection[str]) -> dict[str, RemoteWorker]: ...

    async def remote_workers(
        self, *, tenant: TenantId | None = None, kind: str | None = None, limit: int
    ) -> list[RemoteWorker]:
        """By id; of one owner, or one kind, or all."""

    async def change_remote_worker(self, worker: RemoteWorker) -> bool:
        """Its name, info, maintenance, paused and trusted; False: another has that name."""

    async def credit_remote_worker(
        self,
        worker: WorkerId,
        *,
        fulfilled: int = 0,
        faulted: int = 0,
        earned: float = 0.0,
        speed: float | None = None,
    ) -> None:
        """Add to what it has done. `speed`: of this job, which counts for a fifth; None: nobody knows."""

    async def delete_remote_worker(self, worker: WorkerId) -> None: ...
