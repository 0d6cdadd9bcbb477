"""A loop goes on whatever one turn does, comes at once when woken, and says when it last succeeded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from headrace.core.errors import Unavailable
from headrace.dispatcher.loops import Wake, loop
from headrace.testkit.background import Served, served
from headrace.testkit.fresh import fresh_name
from headrace.testkit.waits import eventually

SOON = timedelta(milliseconds=2)
NEVER = timedelta(hours=1)


@dataclass
class Turns:
    """A loop's turns: each does as the plan says, and after it nothing in particular."""

    plan: list[BaseException | bool | asyncio.Event] = field(default_factory=list)
    begun: int = 0
    ended: int = 0
    wake: Wake = field(default_factory=Wake)
    name: str = field(default_factory=fresh_name)

    async def take(self) -> bool:
        step = self.plan[self.begun] if self.begun < len(self.plan) else False
        self.begun += 1
        if isinstance(step, asyncio.Event):
            await step.wait()
        if isinstance(step, BaseException):
            raise step
        self.ended += 1
        return step is True

    @property
    def last_success(self) -> float:
        metric = "headrace_loop_last_success_timestamp_seconds"
        return REGISTRY.get_sample_value(metric, {"loop": self.name}) or 0.0


@asynccontextmanager
async def turning(
    turns: Turns, *, every: timedelta = NEVER, limit: timedelta = NEVER
) -> AsyncGenerator[Served]:
    async def serve(stop: asyncio.Event) -> None:
        await loop(turns.name, turns.take, turns.wake, stop, every=every, limit=limit)

    async with served(serve, within=5) as serving:
        yield serving


async def test_it_turns_every_so_often() -> None:
    turns = Turns()

    async with turning(turns, every=SOON):
        await eventually(lambda: turns.ended >= 3)


async def test_a_turn_that_hangs_is_cut_and_the_next_one_comes() -> None:
    turns = Turns([asyncio.Event()])

    async with turning(turns, every=SOON, limit=timedelta(milliseconds=20)):
        await eventually(lambda: turns.ended >= 1)

    assert turns.begun > turns.ended


@pytest.mark.parametrize(
    "error", [Unavailable("the store", "away"), TimeoutError(), ValueError("a bug")], ids=repr
)
async def test_a_turn_that_fails_does_not_end_the_loop(error: Exception) -> None:
    turns = Turns([error])

    async with turning(turns, every=SOON):
        await eventually(lambda: turns.ended >= 1)


async def test_a_turn_that_fails_waits_before_the_next() -> None:
    turns = Turns([ValueError("a bug")] * 5)

    async with turning(turns):
        await eventually(lambda: turns.begun == 1)
        turns.wake()
        await eventually(lambda: turns.begun == 2)

    assert turns.ended == 0


async def test_only_success_is_told() -> None:
    failing, fine = Turns([Unavailable("the store", "away")] * 10_000), Turns()

    async with turning(failing, every=SOON), turning(fine, every=SOON):
        await eventually(lambda: failing.begun >= 2 and fine.ended >= 1)
        assert failing.last_success == 0

    assert fine.last_success > 0


async def test_a_turn_that_could_not_take_it_all_is_followed_at_once() -> None:
    turns = Turns([True, True, False])

    async with turning(turns):
        await eventually(lambda: turns.ended == 3)


async def test_a_wake_is_heard_at_once() -> None:
    turns = Turns()

    async with turning(turns):
        await eventually(lambda: turns.ended == 1)
        turns.wake()
        await eventually(lambda: turns.ended == 2, within=1)


async def test_a_wake_in_the_middle_of_a_turn_is_not_lost() -> None:
    in_the_middle = asyncio.Event()
    turns = Turns([in_the_middle])

    async with turning(turns):
        await eventually(lambda: turns.begun == 1)
        turns.wake()
        in_the_middle.set()
        await eventually(lambda: turns.ended == 2, within=1)


async def test_many_wakes_are_one_turn() -> None:
    in_the_middle = asyncio.Event()
    turns = Turns([in_the_middle])

    async with turning(turns) as serving:
        await eventually(lambda: turns.begun == 1)
        for _ in range(10):
            turns.wake()
        in_the_middle.set()
        await eventually(lambda: turns.ended == 2)
        serving.stop.set()
        await serving.ended()

    assert turns.ended == 2


async def test_a_stop_ends_the_waiting_at_once() -> None:
    turns = Turns()

    async with turning(turns) as serving:
        await eventually(lambda: turns.ended == 1)
        serving.stop.set()
        await serving.ended(within=1)

    assert turns.ended == 1


async def test_a_stop_lets_the_turn_finish() -> None:
    in_the_middle = asyncio.Event()
    turns = Turns([in_the_middle])

    async with turning(turns) as serving:
        await eventually(lambda: turns.begun == 1)
        serving.stop.set()
        in_the_middle.set()
        await serving.ended(within=1)

    assert turns.ended == 1
