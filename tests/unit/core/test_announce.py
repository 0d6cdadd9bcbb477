"""What watchers are told of a change: one frame, in the epoch that it opens or ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.contracts.frames import (
    Attempt,
    Cancelled,
    Dead,
    Failed,
    Frame,
    Queued,
    Started,
    Succeeded,
    decode_frame,
)
from headrace.core.announce import announcement, last_frame
from headrace.core.job import TERMINAL, Event, Job, State, advance
from headrace.core.ports.store import Change
from headrace.testkit.builders import a_job

ERROR = {"kind": "internal", "message": "it broke"}


def frame_of(job: Job, event: Event, *, retry_in_s: float | None = None, **fields: Any) -> Frame:
    after = replace(advance(job, event)[1], **fields)
    batch = announcement(Change(job, after), retry_in_s=retry_in_s)
    assert (batch.job, batch.epoch, batch.first_seq) == (job.id, after.epoch, None)
    ((type_, data),) = batch.frames
    frame = decode_frame(data)
    assert type(frame).__struct_config__.tag == type_
    return frame


def test_a_job_whose_time_has_come_is_queued() -> None:
    assert frame_of(a_job(state=State.SCHEDULED), Event.DUE) == Queued()


def test_a_grant_says_who_runs_it_and_which_attempt_it_is() -> None:
    frame = frame_of(a_job(attempt=1), Event.GRANTED, worker="worker-7")

    assert frame == Started(worker="worker-7", attempt=2)


def test_a_retry_says_why_and_when() -> None:
    frame = frame_of(a_job(state=State.RUNNING), Event.RETRIED, error=ERROR, retry_in_s=2.5)

    assert frame == Attempt(attempt=2, reason="it broke", retry_in_s=2.5)


def test_a_job_that_was_given_back_says_so() -> None:
    frame = frame_of(a_job(state=State.RUNNING), Event.RELEASED)

    assert frame == Attempt(attempt=2, reason="given back by its worker")


@pytest.mark.parametrize(
    ("event", "fields", "frame"),
    [
        (Event.FINISHED, {"output": {"text": "done"}}, Succeeded({"text": "done"})),
        (Event.FAILED, {"error": ERROR}, Failed(ERROR)),
        (Event.BURIED, {"error": ERROR}, Dead(ERROR)),
    ],
)
def test_the_end_says_what_came_of_it(event: Event, fields: dict[str, Any], frame: Frame) -> None:
    assert frame_of(a_job(state=State.RUNNING), event, **fields) == frame


@pytest.mark.parametrize("state", [State.QUEUED, State.SCHEDULED])
def test_a_cancelled_job_says_so(state: State) -> None:
    assert frame_of(a_job(state=state), Event.CANCEL_ASKED) == Cancelled()


@pytest.mark.parametrize("state", sorted(set(State) - TERMINAL))
def test_a_job_that_goes_on_has_no_last_frame(state: State) -> None:
    with pytest.raises(ValueError, match="goes on"):
        last_frame(a_job(state=state))
