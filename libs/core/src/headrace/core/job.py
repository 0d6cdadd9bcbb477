"""A job's life: one table of transitions and one pure function that applies it.

Laws:
1. State moves through `TRANSITIONS` and nowhere else; what the table does not name changes nothing.
2. A terminal state has no way out.
3. The epoch grows when the right to run is given and when it ends, and never falls. Whoever speaks
   with another epoch is refused, so at most one execution can have an effect.
4. `attempt` counts grants. Only `failures` and `losses` are charged against budgets: an attempt that
   was given back costs nothing.
5. A late or repeated message is a value (`Verdict.STALE`), not an exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from headrace.contracts.ids import BlobId, ClaimId, JobId, KeyId, Lane, TenantId, WorkerId
from headrace.contracts.messages import Artefact


class State(StrEnum):
    SCHEDULED = "scheduled"  # waits for a time: a planned start or the next attempt
    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"
    CANCELLING = "cancelling"  # runs, and has been asked to stop
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # ended by an error that no further attempt would mend
    CANCELLED = "cancelled"
    DEAD = "dead"  # ended by using up its attempts; parked for a person


TERMINAL: Final = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.DEAD})
HELD: Final = frozenset({State.RUNNING, State.CANCELLING})  # a worker holds a lease


class Event(StrEnum):
    DUE = "due"  # the time it waited for has come
    GRANTED = "granted"  # a worker's claim won
    FINISHED = "finished"
    FAILED = "failed"  # for good
    RETRIED = "retried"  # failed, and may try again later
    BURIED = "buried"  # failed or was lost, and the budget is used up
    LOST = "lost"  # the worker vanished, its engine died or its lease ran out
    RELEASED = "released"  # given back unfinished, by no fault of the job's
    CANCEL_ASKED = "cancel_asked"
    STOPPED = "stopped"  # the worker has stopped it as asked
    EXPIRED = "expired"  # it did not start in time


class Verdict(StrEnum):
    APPLIED = "applied"
    STALE = "stale"


TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = {
    (State.SCHEDULED, Event.DUE): State.QUEUED,
    (State.SCHEDULED, Event.CANCEL_ASKED): State.CANCELLED,
    (State.SCHEDULED, Event.EXPIRED): State.FAILED,
    (State.QUEUED, Event.GRANTED): State.RUNNING,
    (State.QUEUED, Event.CANCEL_ASKED): State.CANCELLED,
    (State.QUEUED, Event.EXPIRED): State.FAILED,
    (State.RUNNING, Event.FINISHED): State.SUCCEEDED,
    (State.RUNNING, Event.FAILED): State.FAILED,
    (State.RUNNING, Event.RETRIED): State.SCHEDULED,
    (State.RUNNING, Event.BURIED): State.DEAD,
    (State.RUNNING, Event.LOST): State.QUEUED,
    (State.RUNNING, Event.RELEASED): State.QUEUED,
    (State.RUNNING, Event.CANCEL_ASKED): State.CANCELLING,
    # A job that was asked to stop ends; finishing first is as good an end as stopping.
    (State.CANCELLING, Event.FINISHED): State.SUCCEEDED,
    (State.CANCELLING, Event.FAILED): State.CANCELLED,
    (State.CANCELLING, Event.RETRIED): State.CANCELLED,
    (State.CANCELLING, Event.BURIED): State.CANCELLED,
    (State.CANCELLING, Event.LOST): State.CANCELLED,
    (State.CANCELLING, Event.RELEASED): State.CANCELLED,
    (State.CANCELLING, Event.STOPPED): State.CANCELLED,
}


SHADOWS: Final = TenantId(
    "headrace/shadow"
)  # whose jobs shadows are; no name of a tenant's has a slash
DISCONNECTED: Final = "disconnected"  # a reason to cancel: whoever watched has left


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is to be told of one job."""

    url: str
    events: tuple[str, ...] = ()  # none: its end, whatever that is


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What an attempt has left behind, for the next one to go on from."""

    blob: BlobId
    step: int
    epoch: int  # that it was told in; of what a job inherits: 0, so that its own are newer
    at: datetime

    def older_than(self, *, epoch: int, step: int) -> bool:
        """A heartbeat that comes late tells of a checkpoint that is gone by now."""
        return (self.epoch, self.step) < (epoch, step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What the client asked for. Never changes."""

    kind: str
    model: str
    input: dict[str, Any]
    priority: int = 0  # higher first, within one tenant
    timeout_s: float = 3600.0  # how long one attempt may run
    start_deadline: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    cancel_after_s: float | None = None  # without a watcher; None: it goes on
    conversation: str | None = None  # what it is said in, by its tenant's own name for that
    wants: str | None = (
        None  # of a worker that comes by HTTP, as core/wants.py writes it; None: not for those
    )
    payload: dict[str, Any] | None = None  # what such a worker is told in place of `input`
    webhook: Webhook | None = None
    register_as: str | None = None  # the model that what a training makes is a version of
    nodes: int = 1  # workers that run it together, or none does
    gpus: int = 1  # that it wants of each of several


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The record. Times are the store's clock; nothing here is read from a process's own."""

    id: JobId
    tenant: TenantId
    spec: Spec
    lane: Lane
    path: str  # which side runs it: 'local' or 'distributed', chosen at submission
    state: State
    retry_of: JobId | None = None  # the job that somebody retried by hand
    shadow_of: JobId | None = None  # the job that this one only repeats on the other path
    shadow_tenant: TenantId | None = None  # that job's
    epoch: int = 0
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    worker: WorkerId | None = None
    claim: ClaimId | None = None
    lease_until: datetime | None = None
    not_before: datetime | None = None  # the time it waited for, or waits for
    cancel_asked_at: datetime | None = None
    cancel_reason: str | None = None  # why, where nobody asked in person
    progress: float | None = None
    checkpoint: Checkpoint | None = None  # None: the next attempt begins at the beginning
    output: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    artefact: Artefact | None = None  # of the registered model's version that it was given
    api_key: KeyId | None = None  # that was shown for it; None: it is not one that the store keeps
    price: int | None = None  # milli-kudos held for it until it ends; None: nobody pays
    trace: str | None = None  # W3C traceparent of the request that submitted it
    attempt_trace: str | None = None  # that of the latest attempt
    created_at: datetime | None = None  # set by the store, as are the next two
    started_at: datetime | None = None  # the first grant
    finished_at: datetime | None = None

    @property
    def owner(self) -> TenantId:
        """Whose blobs it reads and writes."""
        return self.shadow_tenant or self.tenant

    @property
    def terminal(self) -> bool:
        return self.state in TERMINAL

    @property
    def runnable_since(self) -> datetime | None:
        """Of a queued job: since when a worker could have had it. None: it was lost or given back."""
        return self.not_before or (self.created_at if self.attempt == 0 else None)


def advance(job: Job, event: Event, *, epoch: int | None = None) -> tuple[Verdict, Job]:
    """Apply `event`, spoken with `epoch` (None: by the dispatcher itself, about what it has read)."""
    target = TRANSITIONS.get((job.state, event))
    if target is None or (epoch is not None and epoch != job.epoch):
        return Verdict.STALE, job
    moved = _charged(replace(job, state=target), event)
    if event is Event.GRANTED:
        return Verdict.APPLIED, replace(moved, epoch=job.epoch + 1, attempt=job.attempt + 1)
    if job.state in HELD and target not in HELD:
        return Verdict.APPLIED, _let_go(moved)
    return Verdict.APPLIED, moved


def _charged(job: Job, event: Event) -> Job:
    match event:
        case Event.RETRIED:
            return replace(job, failures=job.failures + 1)
        case Event.LOST:
            return replace(job, losses=job.losses + 1)
        case _:
            return job


def _let_go(job: Job) -> Job:
    return replace(job, epoch=job.epoch + 1, worker=None, claim=None, lease_until=None)
