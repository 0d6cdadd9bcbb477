"""Jobs that ended, counted once, whatever ended them: a result, a silence, a deadline, a wish."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.core.job import Job, State
from headrace.core.ports.dead_letters import Source
from headrace.telemetry import metrics


def count_ended(jobs: Sequence[Job]) -> None:
    """Of those that moved. Shadows are nobody's jobs."""
    for job in jobs:
        if job.shadow_of is not None:
            continue
        if job.terminal:
            metrics.JOBS_ENDED.labels(state=job.state.value).inc()
        if job.state is State.DEAD:
            metrics.DEAD_LETTERS.labels(source=Source.JOB.value).inc()
