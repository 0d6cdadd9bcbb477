"""Retries are decided by the kind of error, and spread by a capped, jittered back-off."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.job import Event, State
from headrace.core.retry import ErrorKind, RetryPolicy, after_error, after_loss, backoff
from headrace.testkit.builders import a_job

POLICY = RetryPolicy(failures=3, losses=2)
RUNNING = a_job(state=State.RUNNING, epoch=1, attempt=1)


@pytest.mark.parametrize("kind", ["input", "deadline"])
def test_what_no_attempt_would_mend_fails_at_once(kind: ErrorKind) -> None:
    assert after_error(RUNNING, kind, POLICY, Random(1)).event is Event.FAILED


@pytest.mark.parametrize("kind", ["transient", "resource", "internal"])
def test_what_may_pass_is_tried_again_until_the_budget_is_used_up(kind: ErrorKind) -> None:
    events = [
        after_error(a_job(state=State.RUNNING, failures=n), kind, POLICY, Random(1)).event
        for n in range(3)
    ]

    assert events == [Event.RETRIED, Event.RETRIED, Event.BURIED]


def test_a_lost_worker_is_charged_to_its_own_budget() -> None:
    failed_often = a_job(state=State.RUNNING, failures=2)

    assert after_error(failed_often, "worker_lost", POLICY, Random(1)).event is Event.LOST


def test_a_job_that_keeps_losing_its_workers_is_buried() -> None:
    assert after_loss(a_job(state=State.RUNNING, losses=1), POLICY).event is Event.BURIED


def test_every_kind_of_error_has_an_answer() -> None:
    for kind in get_args(ErrorKind):
        assert after_error(RUNNING, kind, POLICY, Random(1)).event in Event


@given(st.integers(0, 10_000), st.integers())
def test_a_back_off_is_never_negative_and_never_over_its_cap(failures: int, seed: int) -> None:
    delay = backoff(failures, POLICY, Random(seed))

    assert timedelta(0) <= delay <= min(POLICY.cap, POLICY.base * 2 ** min(failures, 30))
