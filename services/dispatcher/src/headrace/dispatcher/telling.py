"""What the log says of a job that moved: what happened, why, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.contracts.messages import Results
from headrace.core.job import Job, State
from headrace.core.letters import letters_of
from headrace.core.ports.store import Change
from headrace.core.usecases.record import Recorded
from headrace.telemetry.logs import get_logger
from headrace.telemetry.tracing import about

_log = get_logger("dispatcher")


def tell_ended(message: Results, recorded: Recorded) -> None:
    """A line for each result: what it did to its job, or that it came too late to do anything."""
    jobs = {job.id: job for job in recorded.moved}
    stale = {id(result) for result in recorded.stale}  # the same may be twice in one message
    for result in message.results:
        with about(job_id=result.job, worker=message.worker):
            if id(result) in stale:
                _log.warning("result.stale", epoch=result.epoch, outcome=result.outcome)
            else:
                _say("job.attempt_ended", jobs[result.job], outcome=result.outcome)


def tell_found(changes: Sequence[Change]) -> None:
    """A line for each job that the sweep found: lost with its worker, or too late to start."""
    for change in changes:
        worker = change.before.worker
        with about(job_id=change.before.id, **({"worker": worker} if worker else {})):
            _say("job.lost" if worker else "job.too_late", change.after)


def tell_produced(changes: Sequence[Change]) -> None:
    """A line for each task that a producer outside began, took over or ended."""
    for change in changes:
        producer = change.after.worker or change.before.worker
        with about(job_id=change.before.id, **({"worker": producer} if producer else {})):
            _say("job.attempt_ended" if change.after.terminal else "job.produced", change.after)


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
