"""A watcher in the background of a test, the store it asks, and frames to be written for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from headrace.contracts.frames import Entry
from headrace.contracts.ids import JobId
from headrace.core.errors import Unavailable
from headrace.core.job import Job, State
from headrace.core.ports.streams import Batch
from headrace.testkit.builders import a_job
from headrace.testkit.waits import eventually

JOB = JobId("00000000-0000-4000-8000-000000000001")
QUIET_S = 0.005
LIMIT_S = 10.0


def watched_job(state: State = State.RUNNING, **fields: Any) -> Job:
    return a_job(state=state, **{"id": JOB, "epoch": 1, **fields})


class Record:
    """The store's side: the job as it stands, None when it is gone, or nobody there."""

    def __init__(self, job: Job | None) -> None:
        self.job = job
        self.away = False
        self.asked = 0

    async def __call__(self) -> Job | None:
        self.asked += 1
        if self.away:
            raise Unavailable("the store", "it was told to refuse")
        return self.job

    async def asked_again(self, times: int = 2) -> None:
        """Let the watcher have so many quiet spells: it asks in each."""
        goal = self.asked + times
        await eventually(lambda: self.asked >= goal, every=QUIET_S / 5)


def tokens(epoch: int, first_seq: int, count: int) -> Batch:
    return Batch(JOB, epoch, [("token", b"{}")] * count, first_seq)


def the_end(epoch: int) -> Batch:
    return Batch(JOB, epoch, [("succeeded", b'{"type":"succeeded","result":null}')], 1)


QUEUED = Batch(JOB, 0, [("queued", b'{"type":"queued"}')], 1)


class Watching:
    """A watcher in the background and what it has been told so far.

    `room`: whether it takes what it is told at once, each time in turn; then always.
    """

    def __init__(self, room: Iterable[bool] = ()) -> None:
        self.entries: list[Entry] = []
        self.at_once: list[Entry] = []  # of these
        self._room = iter(room)

    def take(self, entries: Sequence[Entry]) -> bool:
        if not next(self._room, True):
            return False
        self.entries += entries
        self.at_once += entries
        return True

    async def run(self, watching: AsyncGenerator[Sequence[Entry]]) -> None:
        async with asyncio.timeout(LIMIT_S), aclosing(watching):
            async for entries in watching:
                self.entries += entries

    @property
    def told(self) -> list[str]:
        return [short(entry) for entry in self.entries]


def short(entry: Entry) -> str:
    return str(entry.position) if entry.type == "token" else f"{entry.position} {entry.type}"
