"""How a request stands, from how its jobs stand: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from headrace.core.job import HELD, Job, State
from headrace.core.kudos import in_kudos

_FAULTED = frozenset({State.FAILED, State.DEAD})
_UNKNOWN_RUN_S = 20.0  # where nothing has run yet


@dataclass(frozen=True, slots=True)
class Queue:
    """Where the first of the jobs that wait stands, and how fast its lane goes."""

    ahead: int
    slots: int
    run_s: float | None  # of the latest jobs, half of them took no longer


def over(job: Job) -> bool:
    """Ended, or soon: whoever asked for the end does not wait for it."""
    return job.terminal or job.cancel_asked_at is not None


def standing(jobs: Sequence[Job], queue: Queue | None, now: datetime) -> dict[str, Any]:
    """The fields that `check` and both kinds of `status` share. `queue`: None where nothing waits."""
    waiting = [job for job in jobs if not over(job) and job.state not in HELD]
    processing = [job for job in jobs if not over(job) and job.state in HELD]
    done = not waiting and not processing
    return {
        "finished": sum(job.state is State.SUCCEEDED for job in jobs),
        "processing": len(processing),
        "restarted": sum(not over(job) and job.failures + job.losses > 0 for job in jobs),
        "waiting": len(waiting),
        "done": done,
        # Told when all have ended: until then the others may still be had.
        "faulted": done and any(job.state in _FAULTED for job in jobs),
        "wait_time": 0 if done else ceil(_wait_s(processing, len(waiting), queue, now)),
        "queue_position": 0 if queue is None or not waiting else queue.ahead + 1,
        "kudos": in_kudos(sum(job.price or 0 for job in jobs if job.state is State.SUCCEEDED)),
        "is_possible": done or not waiting or (queue is not None and queue.slots > 0),
    }


def _wait_s(processing: Sequence[Job], waiting: int, queue: Queue | None, now: datetime) -> float:
    run_s = _UNKNOWN_RUN_S if queue is None or queue.run_s is None else queue.run_s
    running_s = max((_left_s(job, run_s, now) for job in processing), default=0.0)
    if not waiting or queue is None:
        return running_s
    rounds = ceil((queue.ahead + waiting) / max(1, queue.slots))
    return running_s + rounds * run_s


def _left_s(job: Job, run_s: float, now: datetime) -> float:
    so_far_s = 0.0 if job.started_at is None else (now - job.started_at).total_seconds()
    if job.attempt == 1 and job.progress:
        return so_far_s * (1 - job.progress) / job.progress
    return max(1.0, run_s - so_far_s)
