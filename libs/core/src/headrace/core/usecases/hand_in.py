"""What a remote worker brings for a job that it took: is it in time, and is it the first?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from headrace.contracts.ids import ClaimId
from headrace.contracts.messages import INPUT_BLOB
from headrace.core.job import Job, State
from headrace.core.ports.remotes import RemoteWorker, TakeRecord
from headrace.core.ports.store import Transaction
from headrace.core.speed import speed
from headrace.core.usecases.claim import holds
from headrace.core.wants import read


class Standing(StrEnum):
    HELD = "held"  # it may go on, and hand in
    LATE = "late"  # its lease is over, and the job goes on without it
    ABORTED = "aborted"  # the job ended otherwise: it was cancelled, or given up
    SETTLED = "settled"  # it was handed in before
    UNSETTLED = "unsettled"  # it was handed in before, and nobody said so to the worker


@dataclass(frozen=True, slots=True)
class Taken:
    """A take as it stands. `worker`: None: it was deleted since."""

    take: TakeRecord
    job: Job
    worker: RemoteWorker | None
    standing: Standing


async def look(tx: Transaction, claim: ClaimId) -> Taken | None:
    """None: there was no such take."""
    take = await tx.take(claim)
    if take is None:
        return None
    job = await tx.anybodys(take.job)
    if job is None:
        return None
    standing = _standing(take, job)
    return Taken(take, job, await tx.remote_worker(take.worker), standing)


def overdue(taken: Taken, now: datetime) -> bool:
    """An attempt may not run for longer than its job says: then its lease is renewed no more."""
    began = taken.take.granted_at
    limit = timedelta(seconds=taken.job.spec.timeout_s)
    return began is not None and now - began > limit


def _standing(take: TakeRecord, job: Job) -> Standing:
    if take.settled_at is not None:
        return Standing.SETTLED
    if holds(job, take.claim):
        return Standing.HELD
    if not job.terminal:
        return Standing.LATE
    # The end of the epoch that it held, and a success: its own, whose answer was lost.
    own = job.state is State.SUCCEEDED and job.epoch == take.epoch + 1
    return Standing.UNSETTLED if own else Standing.ABORTED


async def settle(tx: Transaction, taken: Taken, *, done: bool, earned: float) -> bool:
    """Once for a take; False: somebody was first. Counts what the worker has done."""
    if not await tx.settle_take(taken.take.claim):
        return False
    await tx.credit_remote_worker(
        taken.take.worker,
        fulfilled=int(done),
        faulted=int(not done),
        earned=earned,
        speed=_speed(taken, await tx.now()) if done else None,
    )
    return True


def _speed(taken: Taken, now: datetime) -> float | None:
    """From its grant to now. What is too large to be read here tells nothing."""
    spec, began = taken.job.spec, taken.take.granted_at
    told = spec.payload or spec.input
    if began is None or spec.wants is None or INPUT_BLOB in told:
        return None
    return speed(read(spec.wants).kind, told, (now - began).total_seconds())
