"""Tasks that a producer outside works on: who began, who ended, who fell silent.

A producer needs no grant: it opens an epoch of its own in the stream, which shuts out the one before. The
store follows what is seen there. How a task ends is decided here, once: a producer's stream is closed to
all before its end is saved, and the terminal frame follows the commit as always.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias, assert_never

import msgspec

from headrace.contracts.messages import JobError, Stages
from headrace.contracts.producing import End
from headrace.core.announce import announcement
from headrace.core.blob_names import kept_for
from headrace.core.job import HELD, Event, Job, State, advance
from headrace.core.ports.producers import Producers, Seen
from headrace.core.ports.store import AttemptEnd, Change, Store
from headrace.core.ports.streams import Batch
from headrace.core.ports.upkeep import BlobUse
from headrace.core.storable import storable
from headrace.core.usecases.conclude import conclude

Keep: TypeAlias = Callable[[Job, dict[str, Any]], Awaitable[dict[str, Any]]]
"""What stands for an output in the row: itself, or the name of the blob it was put into."""

_OVERDUE: Final = "it took longer than its timeout"
_NOBODY_CAME: Final = "no producer opened its stream within its timeout"


@dataclass(frozen=True, slots=True)
class Attended:
    changes: list[Change]
    announcements: list[Batch]


async def attend_producers(
    store: Store, producers: Producers, jobs: Sequence[Job], *, keep: Keep, judge_silence: bool
) -> Attended:
    """Raises Unavailable. Unless `judge_silence`, nobody is lost: not everybody had the time to be heard."""
    seen = await producers.look([job.id for job in jobs])
    await producers.stop([job.id for job in jobs if _to_be_told(job, seen.get(job.id))])
    async with store.begin() as tx:
        now = await tx.now()
    begun = [_begun(job, seen[job.id]) for job in jobs if _has_begun(job, seen.get(job.id))]
    ends = [
        await _ended(producers, job, end, keep)
        for job in jobs
        if (end := _end_of(job, seen.get(job.id), now)) is not None
        and (judge_silence or not end.if_silent)
    ]
    return await _save(store, begun, [each for each in ends if each is not None])


def _to_be_told(job: Job, seen: Seen | None) -> bool:
    return job.state is State.CANCELLING and seen is not None and not seen.told_to_stop


def _has_begun(job: Job, seen: Seen | None) -> bool:
    return seen is not None and seen.epoch > job.epoch


def _begun(job: Job, seen: Seen) -> Change:
    """The first producer, or one that took over from another; one that was to stop ends with that."""
    moved = advance(job, Event.LOST)[1] if job.state in HELD else job
    if moved.terminal:
        return Change(job, replace(moved, epoch=seen.epoch + 1))
    granted = advance(moved, Event.GRANTED)[1]
    return Change(job, replace(granted, worker=seen.producer, epoch=max(granted.epoch, seen.epoch)))


@dataclass(frozen=True, slots=True)
class _End:
    event: Event
    error: JobError | None = None
    output: dict[str, Any] | None = None
    if_silent: bool = False


def _end_of(job: Job, seen: Seen | None, now: datetime) -> _End | None:
    if _has_begun(job, seen):
        return None
    if job.state is State.QUEUED:
        return _never_begun(job, now)
    if seen is not None and seen.end is not None:
        return _said(job, seen.end)
    if _is_over(job, job.started_at, now):
        return _End(Event.FAILED, JobError(kind="deadline", message=_OVERDUE))
    if seen is None or not seen.alive:
        message = f"its producer {job.worker} fell silent"
        return _End(Event.FAILED, JobError(kind="worker_lost", message=message), if_silent=True)
    return None


def _never_begun(job: Job, now: datetime) -> _End | None:
    if job.cancel_asked_at is not None:
        return _End(Event.CANCEL_ASKED)
    if _is_over(job, job.created_at, now):
        return _End(Event.EXPIRED, JobError(kind="deadline", message=_NOBODY_CAME))
    return None


def _is_over(job: Job, since: datetime | None, now: datetime) -> bool:
    return since is not None and now > since + timedelta(seconds=job.spec.timeout_s)


def _said(job: Job, end: End) -> _End:
    match end.outcome:
        case "succeeded":
            return _End(Event.FINISHED, output=end.output or {})
        case "cancelled" if job.state is State.CANCELLING:
            return _End(Event.STOPPED)
        case "failed" | "cancelled":
            message = "its producer stopped, and nobody had asked for that"
            return _End(Event.FAILED, end.error or JobError(kind="internal", message=message))
        case _:
            assert_never(end.outcome)


async def _ended(producers: Producers, job: Job, end: _End, keep: Keep) -> Change | None:
    if not await producers.close(job.id, job.epoch, if_silent=end.if_silent):
        return None  # somebody has it after all: seen in the next turn
    after = advance(job, end.event)[1]
    match after.state:
        case State.SUCCEEDED:
            output = await keep(job, storable(end.output or {}))
            return Change(job, replace(after, output=output, error=None, progress=1.0))
        case State.CANCELLED:
            return Change(job, replace(after, error=None, progress=None))
        case _:
            return Change(job, replace(after, error=_as_dict(end.error), progress=None))


def _as_dict(error: JobError | None) -> dict[str, Any] | None:
    return None if error is None else storable(msgspec.to_builtins(error))


async def _save(store: Store, begun: Sequence[Change], ended: Sequence[Change]) -> Attended:
    async with store.begin() as tx:
        changes = [*begun, *ended]
        saved = await conclude(tx, changes)
        done = [change for change, ok in zip(changes, saved, strict=True) if ok]
        await tx.close_attempts([_attempt_end(each) for each in done if each.before.state in HELD])
        await tx.open_attempts([each.after for each in done if each.after.state is State.RUNNING])
        await tx.use_blobs([use for each in done for use in _uses(each.after)])
    # What begins was said by its producer.
    return Attended(done, [announcement(each) for each in done if each.after.terminal])


def _attempt_end(change: Change) -> AttemptEnd:
    before, after = change.before, change.after
    outcome = after.state.value if after.terminal else "lost"
    return AttemptEnd(before.id, before.attempt, outcome, after.error, Stages())


def _uses(job: Job) -> list[BlobUse]:
    return [BlobUse(job.tenant, blob, job.id) for blob in kept_for(job.output)]
