"""A line of the log says what happened to a job, why, and what comes next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from structlog.testing import capture_logs

from headrace.contracts.ids import WorkerId
from headrace.contracts.messages import JobError, Result, Results, Stages
from headrace.core.job import Job, State
from headrace.core.letters import letters_of
from headrace.core.ports.store import Change
from headrace.core.usecases.record import Recorded
from headrace.dispatcher.telling import tell_ended, tell_found
from headrace.testkit.builders import LONG_AGO, a_job

BROKE = JobError(kind="internal", message="it broke")


def recorded(job: Job, *stale: Result) -> Recorded:
    return Recorded([], moved=[job], stale=list(stale), jobs={job.id: job}, at=LONG_AGO)


def told(job: Job, outcome: Any = "failed", error: JobError | None = BROKE) -> Any:
    result = Result(job=job.id, epoch=1, outcome=outcome, error=error, stages=Stages())
    with capture_logs() as lines:
        tell_ended(Results(WorkerId("w1"), [result]), recorded(job))
    (line,) = lines
    return line


def failed(**fields: Any) -> Job:
    return replace(a_job(**fields), attempt=2, error={"kind": "internal", "message": "it broke"})


def test_a_failure_that_is_tried_again_says_when() -> None:
    line = told(failed(state=State.SCHEDULED))

    assert (line["event"], line["log_level"]) == ("job.attempt_ended", "warning")
    assert (line["attempt"], line["state"], line["error"]) == (2, "scheduled", "it broke")
    assert line["retry_at"] == LONG_AGO.isoformat()
    assert (line["lane"], line["tenant"]) == ("echo", "tenant")


def test_a_job_that_died_is_an_error_and_names_its_cause_as_the_dead_letters_do() -> None:
    job = failed(state=State.DEAD)

    line = told(job)

    assert (line["log_level"], line["state"]) == ("error", "dead")
    assert line["cause"] == letters_of([job])[0].fingerprint


def test_a_success_is_no_warning() -> None:
    line = told(a_job(state=State.SUCCEEDED), outcome="succeeded", error=None)

    assert (line["log_level"], line["state"]) == ("info", "succeeded")
    assert "error" not in line


def test_of_a_result_that_came_twice_only_one_did_something() -> None:
    job = a_job(state=State.SUCCEEDED)
    first, again = (Result(job=job.id, epoch=7, outcome="succeeded", stages=Stages()) for _ in "12")
    with capture_logs() as lines:
        message = Results(WorkerId("w1"), [first, again])
        tell_ended(message, recorded(job, again))

    assert [line["event"] for line in lines] == ["job.attempt_ended", "result.stale"]


def test_a_job_lost_with_its_worker_has_a_line_of_its_own() -> None:
    running = a_job(state=State.RUNNING)
    again = replace(a_job(state=State.QUEUED), error={"kind": "worker_lost", "message": "silent"})
    late = a_job(state=State.QUEUED)
    with capture_logs() as lines:
        tell_found([Change(running, again), Change(late, failed(state=State.FAILED))])

    assert [(line["event"], line["state"]) for line in lines] == [
        ("job.lost", "queued"),
        ("job.too_late", "failed"),
    ]
    assert {line["log_level"] for line in lines} == {"warning"}
