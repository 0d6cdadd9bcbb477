"""What attempts wait for inside their worker: told with the heartbeats, so that whoever asks why can hear it.

A wait is told once it has lasted a while, and its end at once; so what is told is at most a heartbeat old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from headrace.contracts.ids import JobId
from headrace.contracts.messages import Holder, Waits
from headrace.gpu_worker.attempts import Attempt, Attempts, Line, Wait

TOLD_AFTER_S: Final = 0.5
_MOST_TOLD: Final = 32  # waits, and for each as many jobs: a message has an end
_MOST_HOLDERS: Final = 8


@contextmanager
def waiting(
    attempt: Attempt,
    look: Callable[[], Line],
    *,
    tell: Callable[[], None],
    monotonic: Callable[[], float],
) -> Iterator[None]:
    """`look` is asked whenever it is told; `tell` asks for a heartbeat soon."""
    attempt.waits = wait = Wait(monotonic(), look)
    soon = asyncio.get_running_loop().call_later(TOLD_AFTER_S, tell)
    try:
        yield
    finally:
        soon.cancel()
        attempt.waits = None
        if monotonic() - wait.since >= TOLD_AFTER_S:
            tell()


def told(attempts: Attempts, now: float) -> list[Waits] | None:
    said = [
        _said(each, each.waits, attempts, now)
        for each in attempts
        if each.waits is not None and now - each.waits.since >= TOLD_AFTER_S
    ]
    return said[:_MOST_TOLD] or None


def _said(attempt: Attempt, wait: Wait, attempts: Attempts, now: float) -> Waits:
    line = wait.look()
    before = _on_devices(attempts) if line.what == "devices" else _at_work(attempts, line.before)
    return Waits(
        attempt.grant.job,
        attempt.grant.epoch,
        line.what,
        round(now - wait.since, 1),
        line.note,
        [Holder(job, round(now - since, 1)) for job, since in before[:_MOST_HOLDERS]],
    )


def _on_devices(attempts: Attempts) -> list[tuple[JobId, float]]:
    held = [(each.grant.job, each.devices_since) for each in attempts]
    return [(job, since) for job, since in held if since is not None]


def _at_work(attempts: Attempts, jobs: Sequence[JobId]) -> list[tuple[JobId, float]]:
    held = [(each.grant.job, each.at_work_since) for each in attempts if each.grant.job in jobs]
    return [(job, since) for job, since in held if since is not None]
