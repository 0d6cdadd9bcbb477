"""Give a waiting job another place among its tenant's in its lane; whose turn a tenant has stays as it is."""

from __future__ import annotations

from typing import Literal

from headrace.contracts.ids import JobId
from headrace.contracts.producing import OUTSIDE
from headrace.core.errors import JobNotFound, JobNotWaiting
from headrace.core.job import Job, State
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.store import Transaction

_OFFERED = "is offered to the workers already"


async def move_to(
    tx: Transaction, job: JobId, where: Literal["front", "back"], *, who: str
) -> tuple[Job, int]:
    """Until it starts: given back, it stands where its age and priority put it.

    Answers the job and how many stand before it. Raises JobNotFound, JobNotWaiting.
    """
    found = await _waiting(tx, job)
    if not await tx.place(job, where):
        raise JobNotWaiting(job, _OFFERED)
    await tx.audit([Deed(who, "job.move", job, {"to": where, "tenant": found.tenant})])
    return found, await tx.ahead(found)


async def set_priority(tx: Transaction, job: JobId, priority: int, *, who: str) -> tuple[Job, int]:
    """For good, whether it waits or is scheduled. Raises JobNotFound, JobNotWaiting."""
    found = await _waiting(tx, job, also=State.SCHEDULED)
    if (await tx.crowd(found)).offered_at is not None:
        raise JobNotWaiting(job, _OFFERED)
    await tx.reprioritise(job, priority)
    change = {"priority": priority, "was": found.spec.priority, "tenant": found.tenant}
    await tx.audit([Deed(who, "job.move", job, change)])
    moved = (await tx.load([job]))[job]
    return moved, await tx.ahead(moved) if moved.state is State.QUEUED else 0


async def _waiting(tx: Transaction, job: JobId, *, also: State | None = None) -> Job:
    found = (await tx.load([job])).get(job)
    if found is None:
        raise JobNotFound(job)
    if found.lane == OUTSIDE:
        raise JobNotWaiting(job, "waits for its producer, and in no queue")
    if found.state not in {State.QUEUED, also}:
        raise JobNotWaiting(job, f"is {found.state}")
    return found
