"""Ask a job to end, and make good on what was asked."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.contracts.ids import JobId, TenantId, WorkerId
from headrace.contracts.messages import Order
from headrace.contracts.producing import OUTSIDE
from headrace.core.announce import announcement
from headrace.core.errors import JobNotFound
from headrace.core.job import Event, Job, State, advance
from headrace.core.ports.store import Change, Store, Transaction
from headrace.core.ports.streams import Batch
from headrace.core.usecases.conclude import conclude


@dataclass(frozen=True, slots=True)
class Honoured:
    announcements: list[Batch]
    ended: list[Job]  # those that waited
    hints: list[tuple[WorkerId, Order]]  # for speed; the next heartbeat tells for sure


async def ask_cancel(store: Store, tenant: TenantId, job: JobId) -> Job:
    """Record the wish; asking twice, or after the end, changes nothing. Raises JobNotFound."""
    async with store.begin() as tx:
        return await wish_to_cancel(tx, tenant, job)


async def wish_to_cancel(
    tx: Transaction, tenant: TenantId, job: JobId, *, reason: str | None = None
) -> Job:
    """The same, among other things. Raises JobNotFound."""
    found = await tx.ask_cancel(tenant, job, reason=reason)
    if found is None:
        raise JobNotFound(job)
    return found


async def honour_cancels(store: Store, *, path: str, limit: int) -> Honoured:
    """End what waits; tell the workers of what runs."""
    async with store.begin() as tx:
        changes = [
            Change(job, advance(job, Event.CANCEL_ASKED)[1])
            for job in await tx.cancel_wishes(path, limit=limit)
            if not _is_for_its_producer(job)
        ]
        saved = await conclude(tx, changes)
    done = [change for change, ok in zip(changes, saved, strict=True) if ok]
    ended = [change for change in done if change.after.terminal]
    return Honoured(
        # What runs is told of by its worker, which numbers the frames of the epoch it holds.
        [announcement(change) for change in ended],
        [change.after for change in ended],
        [hint for change in done if (hint := _hint(change.after)) is not None],
    )


def _is_for_its_producer(job: Job) -> bool:
    """What waits for a producer is closed to it first (`attend_producers`), lest one come at this moment."""
    return job.lane == OUTSIDE and job.state is State.QUEUED


def _hint(job: Job) -> tuple[WorkerId, Order] | None:
    if job.state is not State.CANCELLING or job.worker is None or job.lane == OUTSIDE:
        return None
    return job.worker, Order(job=job.id, epoch=job.epoch, order="cancel")
