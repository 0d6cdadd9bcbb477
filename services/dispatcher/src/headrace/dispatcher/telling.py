"""What the log says of a job that moved: what happened, why, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry.util.types import AttributeValue

from headrace.contracts.ids import JobId, WorkerId
from headrace.contracts.messages import Grant, Results
from headrace.core.job import Job, State
from headrace.core.letters import letters_of
from headrace.core.ports.store import Change
from headrace.core.usecases.claim import Claimed
from headrace.core.usecases.record import Recorded
from headrace.telemetry.logs import get_logger
from headrace.telemetry.tracing import about, about_job, tell

_log = get_logger("dispatcher")


def tell_claimed(worker: WorkerId, claimed: Claimed) -> None:
    """A line for each answer; of a job that could be had, what its wait looks like in its trace."""
    for answer in claimed.answers:
        with _about(claimed.jobs.get(answer.job), answer.job, worker=worker):
            if isinstance(answer, Grant):
                _log.info("job.granted", attempt=answer.attempt, epoch=answer.epoch)
            else:
                _log.info("job.refused", reason=answer.reason)
    for change in claimed.won:
        job = change.before
        if job.trace is not None and job.runnable_since is not None:
            tell("job.wait", parent=job.trace, since=job.runnable_since, until=claimed.at)


def tell_ended(message: Results, recorded: Recorded) -> None:
    """A line for each result: what it did to its job, or that it came too late to do anything."""
    jobs = {job.id: job for job in recorded.moved}
    stale = {id(result) for result in recorded.stale}  # the same may be twice in one message
    for result in message.results:
        with _about(recorded.jobs.get(result.job), result.job, worker=message.worker):
            if id(result) in stale:
                _log.warning("result.stale", epoch=result.epoch, outcome=result.outcome)
            else:
                _say("job.attempt_ended", jobs[result.job], outcome=result.outcome)


def tell_found(changes: Sequence[Change]) -> None:
    """A line for each job that the sweep found: lost with its worker, or too late to start."""
    for change in changes:
        job, worker = change.before, change.before.worker
        with about_job(job, **({"worker": worker} if worker else {})):
            _say("job.lost" if worker else "job.too_late", change.after)
        if worker and (attempt := job.attempt_trace or job.trace):
            # Its own span never ended: this one says in the trace what became of it.
            why = f"worker {worker} fell silent during attempt {job.attempt}"
            attributes: dict[str, AttributeValue] = {
                "headrace.worker": worker,
                "headrace.attempt": job.attempt,
            }
            tell(
                "job.lost", parent=attempt, since=job.lease_until, attributes=attributes, error=why
            )


def tell_produced(changes: Sequence[Change]) -> None:
    """A line for each task that a producer outside began, took over or ended."""
    for change in changes:
        producer = change.after.worker or change.before.worker
        with about_job(change.before, **({"worker": producer} if producer else {})):
            _say("job.attempt_ended" if change.after.terminal else "job.produced", change.after)


def _about(job: Job | None, id_: JobId, *, worker: WorkerId) -> AbstractContextManager[None]:
    """A job that the store does not know has an id and no more."""
    return about(job_id=id_, worker=worker) if job is None else about_job(job, worker=worker)


def _say(event: str, job: Job, **more: Any) -> None:
    error = job.error or {}
    facts = {
        **more,
        "attempt": job.attempt,
        "state": job.state.value,
        "retry_at": job.not_before.isoformat()
        if job.state is State.SCHEDULED and job.not_before
        else None,
        "lane": job.lane,
        "tenant": job.tenant,
        "error_kind": error.get("kind"),
        "error": error.get("message"),
        "shadow_of": job.shadow_of,
        "cause": next((letter.fingerprint for letter in letters_of([job])), None),
    }
    said = {name: value for name, value in facts.items() if value is not None}
    if "cause" in said:
        _log.error(
            event, **said
        )  # somebody has to look: `headrace dead-letters list --cause CAUSE`
    elif error or event not in {"job.attempt_ended", "job.produced"}:
        _log.warning(event, **said)
    else:
        _log.info(event, **said)
