"""The state machine keeps its laws, whatever is said to it and in whatever order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.ids import ClaimId, JobId, Lane, TenantId, WorkerId
from headrace.core.job import HELD, TERMINAL, TRANSITIONS, Event, Job, Spec, State, Verdict, advance


def a_job(state: State = State.QUEUED, **fields: object) -> Job:
    job = Job(
        id=JobId("j"),
        tenant=TenantId("t"),
        spec=Spec(kind="echo", model="echo", input={}),
        lane=Lane("echo"),
        path="local",
        state=state,
    )
    return replace(job, **fields)  # type: ignore[arg-type]  # field names are the test's own


def test_a_terminal_state_has_no_way_out() -> None:
    for state, _ in TRANSITIONS:
        assert state not in TERMINAL


def test_every_state_that_is_not_terminal_has_a_way_out() -> None:
    assert {state for state, _ in TRANSITIONS} == set(State) - TERMINAL


def test_a_job_that_was_asked_to_stop_never_runs_again() -> None:
    ends = {target for (state, _), target in TRANSITIONS.items() if state is State.CANCELLING}

    assert ends <= TERMINAL


@pytest.mark.parametrize("state", sorted(HELD))
def test_whatever_ends_a_hold_shuts_its_epoch(state: State) -> None:
    held = a_job(state, epoch=4, attempt=2, worker=WorkerId("w"), claim=ClaimId("c"))

    for event in Event:
        verdict, after = advance(held, event, epoch=4)
        if verdict is Verdict.APPLIED and after.state not in HELD:
            assert (after.epoch, after.worker, after.claim) == (5, None, None)


def test_a_grant_opens_an_epoch_and_counts_an_attempt() -> None:
    verdict, granted = advance(a_job(epoch=7, attempt=2), Event.GRANTED, epoch=7)

    assert verdict is Verdict.APPLIED
    assert (granted.state, granted.epoch, granted.attempt) == (State.RUNNING, 8, 3)


def test_an_offer_of_an_older_epoch_is_stale() -> None:
    job = a_job(epoch=7)

    assert advance(job, Event.GRANTED, epoch=6) == (Verdict.STALE, job)


def test_a_result_of_an_older_epoch_is_stale() -> None:
    job = a_job(State.RUNNING, epoch=3)

    assert advance(job, Event.FINISHED, epoch=1) == (Verdict.STALE, job)


def test_being_given_back_costs_nothing() -> None:
    _, after = advance(a_job(State.RUNNING, epoch=1, attempt=1), Event.RELEASED, epoch=1)

    assert (after.state, after.failures, after.losses) == (State.QUEUED, 0, 0)


def test_a_failure_and_a_loss_are_charged_to_different_budgets() -> None:
    running = a_job(State.RUNNING, epoch=1)

    _, failed = advance(running, Event.RETRIED, epoch=1)
    _, lost = advance(running, Event.LOST)

    assert (failed.failures, failed.losses) == (1, 0)
    assert (lost.failures, lost.losses) == (0, 1)


@given(st.lists(st.tuples(st.sampled_from(Event), st.integers(0, 12))))
def test_any_sequence_of_events_keeps_the_laws(said: list[tuple[Event, int]]) -> None:
    """Duplicated, reordered and late: `said` is anything, spoken with any epoch."""
    job = a_job(State.SCHEDULED)
    for event, epoch in said:
        before = job
        verdict, job = advance(before, event, epoch=epoch)

        assert (job == before) == (verdict is Verdict.STALE)
        assert job.epoch >= before.epoch
        assert job.attempt >= before.attempt
        assert not (before.terminal and job != before)
        assert (job.worker is None) or job.state in HELD
        assert verdict is Verdict.STALE or (before.state, event) in TRANSITIONS
