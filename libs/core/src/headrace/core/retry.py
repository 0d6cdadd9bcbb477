"""Whether and when a job that did not succeed is tried again. Pure arithmetic; retries are rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final, Literal

from headrace.core.job import Event, Job

ErrorKind = Literal["input", "transient", "resource", "worker_lost", "deadline", "internal"]

_PERMANENT: Final[frozenset[ErrorKind]] = frozenset({"input", "deadline"})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Budgets are separate: a job that loses its workers is not blamed for failing, or reverse."""

    failures: int = 3  # at the third it is dead
    losses: int = 3
    base: timedelta = timedelta(seconds=5)
    cap: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Decision:
    event: Event
    delay: timedelta = timedelta(0)


def after_error(job: Job, kind: ErrorKind, policy: RetryPolicy, random: Random) -> Decision:
    if kind in _PERMANENT:
        return Decision(Event.FAILED)
    if kind == "worker_lost":
        return after_loss(job, policy)
    if job.failures + 1 >= policy.failures:
        return Decision(Event.BURIED)
    return Decision(Event.RETRIED, backoff(job.failures, policy, random))


def after_loss(job: Job, policy: RetryPolicy) -> Decision:
    """A lost job goes straight back: another worker waits less than any back-off."""
    return Decision(Event.BURIED if job.losses + 1 >= policy.losses else Event.LOST)


def backoff(failures: int, policy: RetryPolicy, random: Random) -> timedelta:
    """Capped exponential with full jitter (AWS Builders' Library, 'Timeouts, retries and backoff').

    `failures` counts those before this one: 0 gives up to `base`, 1 up to twice that, and so on.
    """
    doublings = min(failures, 30)
    ceiling = min(policy.cap, policy.base * (1 << doublings))
    return ceiling * random.random()
