"""What watchers are told when a job has moved: the frames that open and close its epochs."""

from __future__ import annotations

from dataclasses import replace

from headrace.contracts.frames import (
    Attempt,
    Cancelled,
    Dead,
    Failed,
    Frame,
    Queued,
    Started,
    Succeeded,
    Terminal,
    encode_frame,
    frame_type,
)
from headrace.core.job import HELD, Job, State
from headrace.core.ports.store import Change
from headrace.core.ports.streams import Batch


def batch_of(job: Job, frame: Frame) -> Batch:
    return Batch(job.id, job.epoch, [(frame_type(frame), encode_frame(frame))])


def announcement(
    change: Change, *, retry_in_s: float | None = None, after_hole: bool = False
) -> Batch:
    """Tell of a saved change. The frame's epoch is the new one, which shuts out the old attempt.

    Not of one to `cancelling`: until an epoch ends its worker alone numbers its frames, and says so.
    `after_hole`: the old epoch lacks frames. Its end does not show that, so the new one begins with
    a number left out, which makes readers say a reset.
    """
    batch = batch_of(change.after, _frame(change, retry_in_s))
    return replace(batch, first_seq=2) if after_hole else batch


def _frame(change: Change, retry_in_s: float | None) -> Frame:
    job = change.after
    match job.state:
        case State.SCHEDULED | State.QUEUED if change.before.state in HELD:
            reason = (job.error or {}).get("message", "given back by its worker")
            return Attempt(attempt=job.attempt + 1, reason=reason, retry_in_s=retry_in_s)
        case State.SCHEDULED | State.QUEUED:
            return Queued()
        case State.RUNNING:
            return Started(worker=job.worker or "", attempt=job.attempt)
        case _:
            return last_frame(job)


def last_frame(job: Job) -> Terminal:
    """The frame that ends the stream of a terminal job; raises ValueError for any other."""
    match job.state:
        case State.SUCCEEDED:
            return Succeeded(result=job.output)
        case State.FAILED:
            return Failed(error=job.error or {})
        case State.CANCELLED:
            return Cancelled()
        case State.DEAD:
            return Dead(error=job.error or {})
        case _:
            raise ValueError(f"job {job.id} is {job.state}: its stream goes on")
