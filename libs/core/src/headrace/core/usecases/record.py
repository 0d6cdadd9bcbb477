"""Take down how attempts ended. Idempotent by (job, epoch): a repeated or late result is stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, assert_never

import msgspec

from headrace.contracts.ids import BlobId, JobId
from headrace.contracts.messages import JobError, Result
from headrace.core.announce import announcement
from headrace.core.blob_names import kept_for
from headrace.core.job import Event, Job, State, Verdict, advance
from headrace.core.letters import letters_of
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.store import AttemptEnd, Change, Store
from headrace.core.ports.streams import Batch
from headrace.core.ports.upkeep import BlobUse
from headrace.core.retry import Decision, RetryPolicy, after_error
from headrace.core.storable import storable
from headrace.core.usecases.blame import policies
from headrace.core.usecases.checkpoint import left_behind
from headrace.core.usecases.conclude import conclude
from headrace.core.usecases.gang_orders import Hints, members_of, orders


@dataclass(frozen=True, slots=True)
class Recorded:
    announcements: list[Batch]
    moved: list[Job]  # as they are now
    stale: list[Result]
    jobs: Mapping[JobId, Job]  # as they were
    at: datetime  # on the store's clock
    let_go: list[BlobRef] = field(default_factory=list)  # checkpoints that nobody needs any more
    hints: Hints = field(default_factory=list)  # to the other members of gangs


async def record(
    store: Store, results: Sequence[Result], *, policy: RetryPolicy, random: Random
) -> Recorded:
    async with store.begin() as tx:
        now = await tx.now()
        jobs = await tx.load([result.job for result in results])
        lost = [result.job for result in results if _is_loss(result) and result.job in jobs]
        budgets = await policies(tx, [jobs[job] for job in lost], policy)
        moves = [
            _move(jobs.get(each.job), each, budgets.get(each.job, policy), random, now)
            for each in results
        ]
        asked = [move for move in moves if move is not None]
        let_go = await tx.keep_checkpoints(list(left_behind(move.result for move in asked)))
        members = await members_of(tx, [move.change.before for move in asked])
        saved = await conclude(tx, [move.change for move in asked])
        done = [move for move, ok in zip(asked, saved, strict=True) if ok]
        await tx.close_attempts([move.end for move in done])
        await tx.use_blobs([use for move in done for use in _uses(move)])
        await tx.bury(letters_of([move.change.after for move in done]))
        let_go += await tx.drop_checkpoints([job for move in done if (job := _needs_none(move))])
        await tx.note_late(_of_nobody(results, jobs))
    won = {id(move.result) for move in done}
    return Recorded(
        [_announced(move) for move in done],
        [move.change.after for move in done],
        [result for result in results if id(result) not in won],
        jobs,
        now,
        let_go,
        orders([move.change.before for move in done], members, "lost"),
    )


def _needs_none(move: _Move) -> JobId | None:
    """Who has succeeded; of all others the checkpoint stays, for somebody may try them again."""
    job = move.change.after
    left = job.checkpoint is not None or move.result.checkpoint is not None
    return job.id if left and job.state is State.SUCCEEDED else None


def _uses(move: _Move) -> list[BlobUse]:
    job = move.change.after
    named = [*kept_for(job.output), *move.result.blobs]
    return [BlobUse(job.owner, blob, job.id, made=True) for blob in dict.fromkeys(named)]


def _of_nobody(results: Sequence[Result], jobs: Mapping[JobId, Job]) -> dict[JobId, list[BlobId]]:
    """What came for jobs that are gone: they may have been deleted while it was on its way."""
    late = [each for each in results if each.job not in jobs]
    left = {each.job: [each.blob] for each in left_behind(late)}
    return {
        each.job: [*kept_for(each.output), *each.blobs, *left.get(each.job, [])] for each in late
    }


def _is_loss(result: Result) -> bool:
    return result.error is not None and result.error.kind == "worker_lost"


@dataclass(frozen=True, slots=True)
class _Move:
    result: Result
    change: Change
    end: AttemptEnd
    retry_in_s: float | None


def _move(
    job: Job | None, result: Result, policy: RetryPolicy, random: Random, now: datetime
) -> _Move | None:
    if job is None:
        return None
    decision = _decide(job, result, policy, random)
    verdict, moved = advance(job, decision.event, epoch=result.epoch)
    if verdict is Verdict.STALE:
        return None
    after = _with_outcome(moved, result, decision, now)
    end = AttemptEnd(job.id, job.attempt, result.outcome, _as_dict(result.error), result.stages)
    return _Move(result, Change(job, after), end, _retry_in_s(after, decision))


def _announced(move: _Move) -> Batch:
    after_hole = move.result.dropped > 0
    return announcement(move.change, retry_in_s=move.retry_in_s, after_hole=after_hole)


def _decide(job: Job, result: Result, policy: RetryPolicy, random: Random) -> Decision:
    match result.outcome:
        case "succeeded":
            return Decision(Event.FINISHED)
        case "cancelled":
            return Decision(Event.STOPPED)
        case "released":
            return Decision(Event.RELEASED)
        case "failed":
            error = result.error or JobError(kind="internal", message="failed without a word")
            return after_error(job, error.kind, policy, random)
        case _:
            assert_never(result.outcome)


def _with_outcome(job: Job, result: Result, decision: Decision, now: datetime) -> Job:
    job = replace(job, error=_as_dict(result.error), progress=None, not_before=None)
    if job.state is State.SUCCEEDED:
        return replace(job, output=storable(result.output or {}), error=None, progress=1.0)
    if job.state is State.SCHEDULED:
        return replace(job, not_before=now + decision.delay)
    return job


def _retry_in_s(job: Job, decision: Decision) -> float | None:
    return decision.delay / timedelta(seconds=1) if job.state is State.SCHEDULED else None


def _as_dict(error: JobError | None) -> dict[str, Any] | None:
    return None if error is None else storable(msgspec.to_builtins(error))
