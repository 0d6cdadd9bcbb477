"""What holds at any time, of every job: pure, over what is in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headrace.contracts.ids import JobId
from headrace.core.job import HELD, TRANSITIONS, Job, State
from headrace.core.ports.store import AttemptRecord

STEPS: Final = frozenset((state, to) for (state, _), to in TRANSITIONS.items())


@dataclass(frozen=True)
class Looked:
    """All there is, at one moment."""

    jobs: dict[JobId, Job]
    outbox: dict[JobId, int]  # what waits and what was sent, with the epoch it is offered in
    attempts: dict[JobId, list[AttemptRecord]]


def moved_as_it_may(before: Job, after: Job) -> None:
    assert after.state is before.state or (before.state, after.state) in STEPS
    began = after.state in HELD and before.state not in HELD
    let_go = before.state in HELD and after.state not in HELD
    assert after.epoch == before.epoch + (began or let_go)
    assert after.attempt == before.attempt + began
    assert after == before or not before.terminal


def is_held_by_one_at_most(job: Job, attempts: Sequence[AttemptRecord]) -> None:
    assert [each.attempt for each in attempts] == list(range(1, job.attempt + 1))
    goes_on = [each.attempt for each in attempts if each.ended_at is None]
    assert goes_on == ([job.attempt] if job.state in HELD else [])


def has_one_effect(job: Job, attempts: Sequence[AttemptRecord]) -> None:
    won = [each.attempt for each in attempts if each.outcome == "succeeded"]
    assert won == ([job.attempt] if job.state is State.SUCCEEDED else [])


def is_cared_for(job: Job, offered_in: int | None) -> None:
    """A row in the outbox, a time, a lease, or an end: nothing else keeps a job from oblivion."""
    assert offered_in == (job.epoch if job.state is State.QUEUED else None)
    if job.state is State.SCHEDULED:
        assert job.not_before is not None
    assert (job.lease_until is not None) == (job.worker is not None) == (job.state in HELD)
    assert (job.finished_at is not None) == job.terminal
