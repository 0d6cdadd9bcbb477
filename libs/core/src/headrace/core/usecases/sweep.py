"""Find what time has overtaken: jobs that are due, leases that ran out, starts that came too late.

Harmless when several dispatchers sweep at once: every change is guarded, and rows that another is
looking at are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from headrace.contracts.ids import JobId
from headrace.contracts.messages import JobError, Stages
from headrace.core.announce import announcement
from headrace.core.job import HELD, Event, Job, State, advance
from headrace.core.letters import letters_of
from headrace.core.ports.store import AttemptEnd, Change, Store, Transaction
from headrace.core.ports.streams import Batch
from headrace.core.retry import RetryPolicy, after_loss
from headrace.core.usecases.blame import policies
from headrace.core.usecases.conclude import conclude
from headrace.core.usecases.gang_orders import Hints, Members, members_of, orders

Move: TypeAlias = Callable[[Job], Job]
Error: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Swept:
    announcements: list[Batch]
    changes: list[Change]
    lost: int
    expired: int
    full: bool  # a list was as long as its limit: sweep again at once
    hints: Hints = field(default_factory=list)  # to what is left of gangs


async def queue_due(store: Store, *, path: str, limit: int) -> list[Batch]:
    """Queue the scheduled jobs whose time has come; answers what to announce."""
    async with store.begin() as tx:
        due = await _apply(tx, await tx.due(path, limit=limit), _due)
    return [announcement(change) for change in due]


async def sweep(store: Store, *, path: str, policy: RetryPolicy, limit: int) -> Swept:
    async with store.begin() as tx:
        late = await _apply(tx, await tx.expired_starts(path, limit=limit), _too_late)
    async with store.begin() as tx:
        expired = await tx.expired_leases(path, limit=limit)
        members = await members_of(tx, expired)
        errors = {
            job.id: _lost_error(job, _silent(job, members, await tx.now())) for job in expired
        }
        lost = await _apply(tx, expired, _lost(await policies(tx, expired, policy), errors))
        await tx.close_attempts([_loss(change.before, errors) for change in lost])
        await tx.bury(letters_of([change.after for change in lost]))
    changes = late + lost
    return Swept(
        [announcement(change) for change in changes],
        changes,
        lost=len(lost),
        expired=len(late),
        full=max(len(late), len(lost)) >= limit,
        hints=orders([change.before for change in lost], members, "lost"),
    )


async def _apply(tx: Transaction, jobs: list[Job], move: Move) -> list[Change]:
    changes = [Change(job, move(job)) for job in jobs]
    saved = await conclude(tx, changes)
    return [change for change, ok in zip(changes, saved, strict=True) if ok]


def _due(job: Job) -> Job:
    return advance(job, Event.DUE)[1]  # its `not_before` stays: since then it could have run


def _too_late(job: Job) -> Job:
    error = JobError(kind="deadline", message="it did not start before its start_deadline")
    return replace(advance(job, Event.EXPIRED)[1], error=msgspec.to_builtins(error))


def _lost(policies: Mapping[JobId, RetryPolicy], errors: Mapping[JobId, Error]) -> Move:
    def move(job: Job) -> Job:
        moved = advance(job, after_loss(job, policies[job.id]).event)[1]
        error = None if moved.state is State.CANCELLED else errors[job.id]
        return replace(moved, error=error, progress=None, not_before=None)

    return move


def _loss(job: Job, errors: Mapping[JobId, Error]) -> AttemptEnd:
    if job.state not in HELD:
        raise ValueError(f"job {job.id} has no attempt to lose in state {job.state}")
    return AttemptEnd(job.id, job.attempt, "lost", errors[job.id], Stages())


def _silent(job: Job, members: Members, now: datetime) -> str:
    """Of a gang, those whose leases ran out; who runs a job alone is silent in any case."""
    late = [each.worker for each in members.get(job.id, ()) if each.until <= now]
    return ", ".join(late) or str(job.worker)


def _lost_error(job: Job, silent: str) -> Error:
    message = f"worker {silent} fell silent during attempt {job.attempt}"
    return msgspec.to_builtins(JobError(kind="worker_lost", message=message))  # type: ignore[no-any-return]  # to_builtins of a Struct is a dict
