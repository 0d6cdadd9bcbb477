"""The store: the record of truth. Everything happens inside a transaction, on the store's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from headrace.contracts.ids import JobId, Lane, TenantId, WorkerId
from headrace.contracts.messages import EngineCard, Stages, Vitals
from headrace.core.fair_share import Share
from headrace.core.job import Job, State
from headrace.core.ports.batches import Batches
from headrace.core.ports.checkpoints import Checkpoints
from headrace.core.ports.dead_letters import DeadLetters
from headrace.core.ports.deletions import Deletions
from headrace.core.ports.figures import Figures
from headrace.core.ports.gangs import Gangs
from headrace.core.ports.keys import Keys
from headrace.core.ports.models import Models
from headrace.core.ports.operations import Operations
from headrace.core.ports.paths import Paths
from headrace.core.ports.queries import Query as Query  # noqa: PLC0414  # said here too
from headrace.core.ports.remotes import Remotes
from headrace.core.ports.rollouts import Rollouts
from headrace.core.ports.runs import Runs
from headrace.core.ports.schedules import Schedules
from headrace.core.ports.upkeep import Upkeep
from headrace.core.ports.uploads import Uploads
from headrace.core.ports.users import Users
from headrace.core.ports.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    key: str
    fingerprint: str  # of the canonical request


@dataclass(frozen=True, slots=True)
class NewJob:
    job: Job  # scheduled or queued, epoch 0
    idempotency: IdempotencyKey | None = None


@dataclass(frozen=True, slots=True)
class Created:
    job: Job


@dataclass(frozen=True, slots=True)
class Replayed:
    """The key was there, with the same fingerprint: the job that was made for it."""

    job: Job


@dataclass(frozen=True, slots=True)
class Conflict:
    """The key was there, with another fingerprint."""


Insertion: TypeAlias = Created | Replayed | Conflict


@dataclass(frozen=True, slots=True)
class Change:
    """From what was read to what shall be. Saved only if state and epoch are still `before`'s."""

    before: Job
    after: Job


@dataclass(frozen=True, slots=True)
class Waiting:
    """An outbox row: a job that waits to be offered."""

    job: JobId
    epoch: int
    tenant: TenantId
    trace: str | None
    wants: str | None = None  # of a remote worker; None: workers of ours alone may have it


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a tenant gets and may take; None: no cap, or the installation's."""

    weight: int = 1
    max_running: int | None = None  # running or offered, in all lanes
    max_running_per_lane: int | None = None
    max_queued: int | None = None  # scheduled or queued
    retain_days: int | None = (
        None  # what has ended goes then, if not before; None: as for everybody
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What stands beside a job in its lane, and what its tenant has running or offered."""

    offered_at: datetime | None  # when this job's offer was sent or reserved; None: it waits
    running_in_lane: int
    offered_in_lane: int
    taken_by_tenant: int
    taken_by_tenant_in_lane: int


@dataclass(frozen=True, slots=True)
class Renewal:
    job: JobId
    epoch: int
    progress: float | None


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    job: JobId
    attempt: int
    outcome: str
    error: Mapping[str, Any] | None
    stages: Stages


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    attempt: int
    epoch: int
    worker: WorkerId
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    error: Mapping[str, Any] | None
    stages: Stages | None
    resumed_step: int | None = None  # of the checkpoint that it was given; None: of none
    members: Sequence[WorkerId] = ()  # of a gang, in the order of their ranks; none: `worker` alone


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    id: WorkerId
    slots: Mapping[Lane, int]
    seen_at: datetime
    path: str | None = None  # whose dispatchers hear it; None: a build before paths said so
    draining: bool = False  # it was asked to take nothing new

    def room(self, lane: Lane) -> int:
        """Its slots for a lane, as far as offers go."""
        return 0 if self.draining else self.slots.get(lane, 0)


class Transaction(
    Batches,
    Checkpoints,
    DeadLetters,
    Deletions,
    Figures,
    Gangs,
    Keys,
    Models,
    Operations,
    Paths,
    Remotes,
    Rollouts,
    Runs,
    Schedules,
    Upkeep,
    Uploads,
    Users,
    Webhooks,
    Protocol,
):
    """One unit of work. Leaving it normally commits; an exception rolls back.

    Methods that answer a sequence answer in the order asked unless they say otherwise. Rows given
    out for changing are locked where the database can, so that several dispatchers share the work.
    """

    async def now(self) -> datetime:
        """The database's clock, aware, in UTC; constant within the transaction."""

    # -- submitting -------------------------------------------------------------------------------

    async def insert(self, jobs: Sequence[NewJob]) -> list[Insertion]:
        """Each job with its outbox row (if queued) and its idempotency key, atomically."""

    # -- moving -----------------------------------------------------------------------------------

    async def load(self, jobs: Sequence[JobId]) -> dict[JobId, Job]:
        """For changing. Unknown ids are missing."""

    async def save(self, changes: Sequence[Change]) -> list[bool]:
        """Guarded by state and epoch; False: somebody was first and nothing was written.

        A job that becomes queued gets an outbox row, one that leaves queued loses its row.
        `started_at` is set by the first grant and `finished_at` by a terminal state. Whoever is to be
        told that a job starts or has ended has a call from then on (`core.webhooks`). The gang of one that
        is let go is none any more.
        """

    async def open_attempts(self, granted: Sequence[Job]) -> None:
        """Record that these attempts began."""

    async def close_attempts(self, ends: Sequence[AttemptEnd]) -> None:
        """Record how they ended. An attempt is closed once; later ends are ignored."""

    async def renew(
        self, renewals: Sequence[Renewal], *, worker: WorkerId, until: datetime
    ) -> list[State | None]:
        """Push the lease of held jobs to `until`; None: not this worker's, or not in this epoch.

        Each member of a gang has a lease of its own; the job's is the one that ends first. Progress is the
        first member's word.
        """

    async def ask_cancel(
        self, tenant: TenantId, job: JobId, *, reason: str | None = None
    ) -> Job | None:
        """Record the wish (once) and return the job as it is; None: not this tenant's.

        `reason` is for when nobody asked in person.
        """

    # -- watching ---------------------------------------------------------------------------------

    async def see_watched(self, until: Mapping[JobId, datetime]) -> None:
        """Somebody watches these: each until that time, or until a later one that it has."""

    async def wish_deserted(self, path: str, *, limit: int) -> list[JobId]:
        """Ask to cancel those that are watched no longer; they, at most `limit`.

        What nobody has watched yet is not among them.
        """

    # -- what is to be done, oldest first, at most `limit`, on one path ----------------------------

    async def due(self, path: str, *, limit: int) -> list[Job]:
        """Scheduled jobs whose `not_before` has come."""

    async def expired_leases(self, path: str, *, limit: int) -> list[Job]: ...

    async def expired_starts(self, path: str, *, limit: int) -> list[Job]:
        """Scheduled or queued jobs past their `start_deadline` that have never started."""

    async def cancel_wishes(self, path: str, *, limit: int) -> list[Job]:
        """Scheduled, queued or running jobs that somebody asked to cancel."""

    async def outside(self, path: str, *, after: JobId, limit: int) -> list[Job]:
        """Jobs in the lane `outside` that have not ended, by id, behind this one ('' is before the first)."""

    # -- the outbox -------------------------------------------------------------------------------

    async def hold_release(self) -> None:
        """Until this transaction ends, nobody else decides what is offered next: caps hold."""

    async def waiting_lanes(self, path: str) -> list[Lane]:
        """Lanes with rows that are neither sent nor reserved, but for those that are paused."""

    async def offered(self, path: str, lane: Lane) -> int:
        """Rows that are sent or reserved: offers whose jobs still wait for a claim."""

    async def shares(
        self, path: str, lane: Lane, *, start: TenantId | None, limit: int
    ) -> list[Share]:
        """Tenants with unsent rows in this lane, by name, from `start` on, at most `limit`."""

    async def waiting(
        self, path: str, lane: Lane, wanted: Mapping[TenantId, int]
    ) -> dict[TenantId, list[Waiting]]:
        """The heads of these tenants' queues, so many rows of each; not jobs for several workers.

        Highest priority first, then oldest; a point of priority is worth `PRIORITY_IS_WORTH`.
        """

    async def reserve(self, rows: Sequence[Waiting], *, until: datetime) -> list[Waiting]:
        """Take rows for sending; only those won are returned. Reservations lapse by themselves."""

    async def mark_sent(self, rows: Sequence[Waiting]) -> None: ...

    async def unreserve(self, rows: Sequence[Waiting]) -> None:
        """Certainly not sent: offer again at once."""

    async def sent_before(
        self, path: str, then: datetime, *, limit: int
    ) -> dict[Lane, list[Waiting]]:
        """Offers sent before `then` that nobody has claimed yet, at most `limit` of each lane."""

    async def resend(self, rows: Sequence[Waiting]) -> None:
        """Forget that these were sent."""

    # -- what tenants get, and what is held back -------------------------------------------------

    async def terms(self, tenant: TenantId) -> Terms:
        """The usual ones unless others were set."""

    async def set_terms(self, tenant: TenantId, terms: Terms) -> None: ...

    async def pause(self, lane: Lane) -> datetime:
        """Since when it is paused: asking twice changes nothing."""

    async def resume(self, lane: Lane) -> None: ...

    async def paused(self) -> dict[Lane, datetime]: ...

    async def troubles(self) -> dict[Lane, str]:
        """Lanes that cannot be offered as things are set up, and why."""

    async def note_trouble(self, lane: Lane, trouble: str | None) -> None:
        """None: there is no more."""

    async def backlog(self, tenant: TenantId | None, *, at_most: int) -> int:
        """How many jobs of a tenant, or of all, are scheduled or queued; counts to `at_most`."""

    # -- workers and what they can run ---------------------------------------------------------------

    async def see_worker(
        self,
        worker: WorkerId,
        slots: Mapping[Lane, int],
        *,
        path: str,
        vitals: Vitals | None = None,
    ) -> bool:
        """Heard just now, by a dispatcher of this path; answers whether it was asked to drain.

        `vitals`: what it says of itself; None: what it said before stays.
        """

    async def forget_worker(self, worker: WorkerId) -> None: ...

    async def workers(self, *, seen_after: datetime) -> list[WorkerRecord]: ...

    async def announce_engines(self, cards: Sequence[EngineCard]) -> None:
        """Keep the catalog: one entry per kind and model, the latest wins."""

    async def catalog(self) -> list[EngineCard]:
        """An engine may have formats of artefacts alone, and no models of its own."""

    # -- reading -------------------------------------------------------------------------------------

    async def find(self, tenant: TenantId, job: JobId) -> Job | None: ...

    async def page(self, tenant: TenantId, query: Query) -> list[Job]: ...

    async def attempts(self, job: JobId) -> list[AttemptRecord]: ...

    async def ahead(self, job: Job) -> int:
        """How many jobs of its lane would be offered before it, as things stand (an estimate)."""

    async def crowd(self, job: Job) -> Crowd: ...


class Hints(Protocol):
    async def wait(self, within_s: float) -> bool:
        """True as soon as something may be waiting for a dispatcher; False after `within_s`."""


class Store(Protocol):
    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Raises Unavailable when no connection can be had in time or the commit has no answer."""

    def hints(self) -> AbstractAsyncContextManager[Hints]:
        """Hear of new work from every process on this store. May miss some: look regularly too."""

    async def ping(self) -> None:
        """Raises Unavailable, or Misconfigured when the schema is not the one this build knows."""
