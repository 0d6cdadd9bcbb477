"""Is it the job or the worker? A job that was lost on one worker alone may have met a bad machine.

A job is dead once it was lost as often as its budget says, on at least two workers. Where all its losses
were on one worker, and another could take it, it may be lost twice as often: by then it has met the
other, or that one worker takes everything and somebody must look at it in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from headrace.contracts.ids import JobId, WorkerId
from headrace.core.job import Job
from headrace.core.ports.store import AttemptRecord, Transaction
from headrace.core.retry import RetryPolicy

_SEEN_WITHIN: Final = timedelta(minutes=1)
_LOST: Final = "worker_lost"


async def policies(
    tx: Transaction, jobs: Sequence[Job], policy: RetryPolicy
) -> dict[JobId, RetryPolicy]:
    """For each of these held jobs, should its attempt turn out lost, the budget it has."""
    spared = replace(policy, losses=2 * policy.losses)
    doubtful = [job for job in jobs if await _doubtful(tx, job, policy)]
    return {job.id: policy for job in jobs} | {job.id: spared for job in doubtful}


async def _doubtful(tx: Transaction, job: Job, policy: RetryPolicy) -> bool:
    # A budget of one leaves no room for doubt.
    if job.losses + 1 < policy.losses or policy.losses == 1 or job.worker is None:
        return False
    blamed = {each.worker for each in await tx.attempts(job.id) if _was_lost(each)} | {job.worker}
    return len(blamed) == 1 and await _another_could(tx, job, blamed)


def _was_lost(attempt: AttemptRecord) -> bool:
    return attempt.outcome == "lost" or (attempt.error or {}).get("kind") == _LOST


async def _another_could(tx: Transaction, job: Job, blamed: set[WorkerId]) -> bool:
    alive = await tx.workers(seen_after=await tx.now() - _SEEN_WITHIN)
    return any(each.id not in blamed and each.room(job.lane) > 0 for each in alive)
