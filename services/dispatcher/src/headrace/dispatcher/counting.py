"""What was decided, counted once, whatever decided it: a claim, a result, a silence, a deadline, a wish."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headrace.contracts.messages import Grant, Result, Stages
from headrace.core.job import Job, State
from headrace.core.ports.dead_letters import Source
from headrace.core.ports.store import Change
from headrace.core.usecases.claim import Claimed
from headrace.core.usecases.record import Recorded
from headrace.telemetry import metrics
from headrace.telemetry.exemplars import exemplar


def count_claimed(claimed: Claimed) -> None:
    for answer in claimed.answers:
        said = "granted" if isinstance(answer, Grant) else answer.reason
        metrics.CLAIMS.labels(answer=said).inc()
    for change in claimed.won:
        job = change.before
        if job.runnable_since is not None:
            waited_s = (claimed.at - job.runnable_since).total_seconds()
            metrics.QUEUE_WAIT.labels(lane=job.lane).observe(
                max(0.0, waited_s), exemplar(job.trace)
            )


def count_recorded(results: Sequence[Result], recorded: Recorded) -> None:
    jobs = {job.id: job for job in recorded.moved}
    for result in recorded.stale:
        lane = recorded.jobs[result.job].lane if result.job in recorded.jobs else "other"
        metrics.ATTEMPTS_ENDED.labels(lane=lane, outcome="stale").inc()
    stale = {id(result) for result in recorded.stale}  # the same may be twice in one message
    for result in results:
        if id(result) not in stale:
            _count_attempt(jobs[result.job], result.outcome, result.stages)
    count_ended(recorded.moved)
    for job in recorded.moved:
        _time(job, recorded.at)


def count_lost(changes: Sequence[Change]) -> None:
    """Of those that the sweep found with a worker."""
    for change in changes:
        if change.before.worker is not None:
            _count_attempt(change.after, "lost", Stages())
    count_ended([change.after for change in changes])


def count_ended(jobs: Sequence[Job]) -> None:
    """Of those that moved. Shadows are nobody's jobs."""
    for job in jobs:
        if job.shadow_of is not None:
            continue
        if job.terminal:
            metrics.JOBS_ENDED.labels(state=job.state.value).inc()
        if job.state is State.DEAD:
            metrics.DEAD_LETTERS.labels(source=Source.JOB.value).inc()


def _count_attempt(job: Job, outcome: str, stages: Stages) -> None:
    metrics.ATTEMPTS_ENDED.labels(lane=job.lane, outcome=outcome).inc()
    if not job.terminal:
        reason = "released" if job.error is None else str(job.error.get("kind"))
        metrics.RETRIES.labels(lane=job.lane, reason=reason).inc()
    for stage in metrics.STAGES:
        took_s = getattr(stages, f"{stage}_s")
        if took_s > 0:  # one that was never reached took none
            metrics.STAGE.labels(lane=job.lane, stage=stage).observe(took_s, exemplar(job.trace))


def _time(job: Job, now: datetime) -> None:
    if job.terminal and job.created_at is not None:
        took_s = max(0.0, (now - job.created_at).total_seconds())
        labels = {"lane": job.lane, "state": job.state.value}
        metrics.JOB.labels(**labels).observe(took_s, exemplar(job.trace))
