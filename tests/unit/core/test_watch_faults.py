"""Any order of faults between a log and its watcher: every frame once and in order, or a reset."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, Position
from headrace.core.job import State
from headrace.core.usecases.watch import watch
from headrace.testkit.faulty_streams import FaultyStreams
from headrace.testkit.watching import (
    JOB,
    QUEUED,
    QUIET_S,
    Record,
    Watching,
    the_end,
    tokens,
    watched_job,
)

FAULTS = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 4)),
    st.tuples(st.just("attempt"), st.just(1)),
    st.tuples(st.just("lose"), st.integers(1, 3)),
    st.tuples(st.just("refuse"), st.integers(1, 3)),
    st.tuples(st.just("wipe"), st.just(1)),
    st.tuples(st.just("skip"), st.integers(1, 3)),
    st.tuples(st.just("rest"), st.just(1)),
)


class Writer:
    """Writes as a worker would, and remembers every frame of which a watcher can know."""

    def __init__(self, streams: FaultyStreams, record: Record) -> None:
        self._streams, self._record = streams, record
        self._epoch, self._seq = 1, 0
        self._skipped: list[Position] = []  # shown to be missing by the next of the same epoch
        self.written: list[Position] = []

    async def do(self, what: str, count: int) -> None:
        match what:
            case "write":
                await self._write(count)
            case "attempt":
                self._epoch, self._seq, self._skipped = self._epoch + 2, 0, []
                await self._write(1)
            case "lose":
                self._streams.losses += count
            case "refuse":
                self._streams.refusals += count
            case "wipe":
                self._streams.wipe()
            case "skip":
                self._skipped += self._numbers(count)
            case _:
                await self._record.asked_again(1)
        for _ in range(5):  # turns of the loop, so that the watcher may run into it
            await asyncio.sleep(0)

    async def begin(self) -> None:
        await self._streams.append([QUEUED])
        self.written.append(Position(0, 1))

    async def end(self) -> None:
        epoch = self._epoch + 1
        await self._streams.append([the_end(epoch)])
        self.written.append(Position(epoch, 1))
        self._record.job = watched_job(State.SUCCEEDED, epoch=epoch)

    async def _write(self, count: int) -> None:
        await self._streams.append([tokens(self._epoch, self._seq + 1, count)])
        self.written += [*self._skipped, *self._numbers(count)]
        self._skipped = []

    def _numbers(self, count: int) -> list[Position]:
        self._seq += count
        return [Position(self._epoch, seq) for seq in range(self._seq - count + 1, self._seq + 1)]


async def _through(
    steps: list[tuple[str, int]], maxlen: int, room: list[bool]
) -> tuple[list[Entry], Writer]:
    streams, record, watcher = FaultyStreams(maxlen=maxlen), Record(watched_job()), Watching(room)
    options: dict[str, Any] = {"quiet_s": QUIET_S / 5, "random": Random(1), "tell": watcher.take}
    writer = Writer(streams, record)
    await writer.begin()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run(watch(streams, record, JOB, **options)))
        for what, count in steps:
            await writer.do(what, count)
        await writer.end()
    return watcher.entries, writer


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(FAULTS, max_size=25),
    maxlen=st.sampled_from([2, 5, 1000]),
    room=st.just([False] * 1000) | st.lists(st.booleans(), max_size=25),
)
def test_every_frame_once_and_in_order_or_a_reset(
    steps: list[tuple[str, int]], maxlen: int, room: list[bool]
) -> None:
    """Whether it is told at once or by its task, and however often it has no room."""
    told, writer = asyncio.run(_through(steps, maxlen, room))

    for before, entry in pairwise([Entry(START, "start", b""), *told]):
        # A reset says where it all stands now; the end may follow it at once.
        if entry.type != "reset" and not (before.type == "reset" and entry.terminal):
            assert before.position < entry.position
            between = [p for p in writer.written if before.position < p < entry.position]
            assert between == []
    assert told[-1].terminal
