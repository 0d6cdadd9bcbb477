"""Ask a job to end, and make good on what was asked."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.contracts.ids import JobId, TenantId
from headrace.contracts.messages import Order
from headrace.contracts.producing import OUTSIDE
from headrace.core.announce import announcement
from headrace.core.errors import JobNotFound
from headrace.core.job import Event, Job, State, advance
from headrace.core.ports.store import Change, Store, Transaction
from headrace.core.ports.streams import Batch
from headrace.core.usecases.conclude import conclude
from headrace.core.usecases.gang_orders import Hints, Members, members_of, orders


@dataclass(frozen=True, slots=True)
class Honoured:
    announcements: list[Batch]
    ended: list[Job]  # those that waited
    hints: Hints


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
        members = await members_of(tx, [change.before for change in changes])
        saved = await conclude(tx, changes)
    done = [change for change, ok in zip(changes, saved, strict=True) if ok]
    ended = [change for change in done if change.after.terminal]
    return Honoured(
        # What runs is told of by its worker, which numbers the frames of the epoch it holds.
        [announcement(change) for change in ended],
        [change.after for change in ended],
        [hint for change in done for hint in _hints(change.after, members)],
    )


def _is_for_its_producer(job: Job) -> bool:
    """What waits for a producer is closed to it first (`attend_producers`), lest one come at this moment."""
    return job.lane == OUTSIDE and job.state is State.QUEUED


def _hints(job: Job, members: Members) -> Hints:
    if job.state is not State.CANCELLING or job.worker is None or job.lane == OUTSIDE:
        return []
    told = orders([job], members, "cancel")
    return told or [(job.worker, Order(job=job.id, epoch=job.epoch, order="cancel"))]
