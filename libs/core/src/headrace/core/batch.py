"""A batch: thousands of inputs of one kind, handed in together, each of them a job of its own. Pure.

Its items are the lines of a blob, numbered from 0. Those that have begun have a row each: with their job,
or with the reason why there is none.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from headrace.contracts.ids import BatchId, BlobId, JobId, KeyId, TenantId
from headrace.core.job import Job

MOST_ITEMS: Final = 100_000
MOST_AT_A_TIME: Final = 100  # of one tenant that are not over
BATCH_LABEL: Final = (
    "headrace/batch"  # on each job of a batch; only a hint: its id says whose it is
)
ITEM_LABEL: Final = "headrace/item"
_FEWEST_FOR_A_PACE: Final = 20


class BatchState(StrEnum):
    RUNNING = "running"
    CANCELLING = "cancelling"  # nothing more begins, and what runs is being stopped
    ENDED = "ended"
    CANCELLED = "cancelled"


class ItemState(StrEnum):
    OPEN = "open"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"
    REJECTED = "rejected"  # no job could be made of it


WRONG: Final = frozenset({ItemState.FAILED, ItemState.DEAD, ItemState.REJECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many items have ended, and how."""

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    dead: int = 0
    rejected: int = 0

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed + self.cancelled + self.dead + self.rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    id: BatchId
    tenant: TenantId
    path: str  # whose dispatchers begin its items
    kind: str
    model: str | None = None  # of items that name none; None: the kind's default
    source: BlobId
    total: int
    priority: int = 0
    timeout_s: float = 3600.0
    labels: dict[str, str] = field(default_factory=dict)
    api_key: KeyId | None = None
    trace: str | None = None
    begun: int = 0  # items that have a row: the number of the next
    read_to: int = 0  # where in the source the next one is
    not_before: datetime | None = (
        None  # nobody looks at it before; who begins items has it until then
    )
    held_up: str | None = None  # why no more begin now
    cancel_asked_at: datetime | None = None
    tally: Tally = field(default_factory=Tally)
    created_at: datetime | None = None  # set by the store, as is the end
    finished_at: datetime | None = None

    @property
    def over(self) -> bool:
        return self.finished_at is not None

    @property
    def state(self) -> BatchState:
        if self.cancel_asked_at is not None:
            return BatchState.CANCELLED if self.over else BatchState.CANCELLING
        return BatchState.ENDED if self.over else BatchState.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class NewItem:
    """Its row: open with its job, or ended at once and without one."""

    place: int
    custom_id: str | None = None
    job: JobId | None = None
    state: ItemState = ItemState.OPEN
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ItemEnd:
    batch: BatchId
    place: int
    state: ItemState


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An item that has ended. `number` is its place in the order of ending, which may have gaps."""

    number: int
    place: int
    custom_id: str | None
    state: ItemState
    job: JobId | None
    model: str | None
    output: dict[str, Any] | None
    error: dict[str, Any] | None
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Pace:
    """Of the latest ends of jobs: so many, the first of them then."""

    ends: int
    since: datetime


def job_of_item(batch: BatchId, place: int) -> JobId:
    """The same for the same item, and as hard to guess as the batch's own id."""
    digest = hashlib.sha256(f"{batch}/{place}".encode()).digest()
    return JobId(str(uuid.UUID(bytes=digest[:16], version=4)))


def item_of(job: Job) -> tuple[BatchId, int] | None:
    """Which one it is; None: nobody's, or it only says so, as one that was tried again does."""
    batch, place = job.spec.labels.get(BATCH_LABEL), job.spec.labels.get(ITEM_LABEL, "")
    if batch is None or not (place.isascii() and place.isdecimal()):
        return None
    if job.id != job_of_item(BatchId(batch), int(place)):
        return None
    return BatchId(batch), int(place)


def end_of_item(job: Job) -> ItemEnd | None:
    """Of a job that has ended; None: it is nobody's item."""
    item = item_of(job)
    return None if item is None else ItemEnd(*item, ItemState(job.state))


def left_for(batch: Batch, pace: Pace | None, now: datetime) -> timedelta | None:
    """If it goes on as it went of late; None: too little has ended to say."""
    if batch.over or pace is None or pace.ends < _FEWEST_FOR_A_PACE or now <= pace.since:
        return None
    return (now - pace.since) / pace.ends * (batch.total - batch.tally.ended)
