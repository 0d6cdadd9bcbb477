"""Engines begin a few at a time, and one that hangs does not keep the others from beginning."""

from __future__ import annotations

import asyncio

import pytest

from headrace.gpu_worker import starts
from headrace.gpu_worker.starts import Starts


async def begin(turns: Starts, name: str, begun: list[str], ends: asyncio.Event) -> None:
    async with turns.turn():
        begun.append(name)
        await ends.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_so_many_begin_at_once_and_the_rest_in_the_order_in_which_they_came() -> None:
    turns, begun = Starts(2), list[str]()
    ends = {name: asyncio.Event() for name in "abcd"}
    async with asyncio.TaskGroup() as group:
        for name, end in ends.items():
            group.create_task(begin(turns, name, begun, end))
        await settle()
        assert begun == ["a", "b"]

        ends["b"].set()
        await settle()
        assert begun == ["a", "b", "c"]

        for end in ends.values():
            end.set()
    assert begun == ["a", "b", "c", "d"]


async def test_one_that_takes_long_lets_the_next_begin_and_gives_its_turn_back_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starts, "_LONGEST_S", 0.0)
    turns, begun = Starts(1), list[str]()
    hangs, works, waits = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(begin(turns, "hangs", begun, hangs))
        await settle()
        monkeypatch.setattr(starts, "_LONGEST_S", 10.0)
        group.create_task(begin(turns, "works", begun, works))
        await settle()
        assert begun == ["hangs", "works"]

        hangs.set()
        await settle()
        group.create_task(begin(turns, "waits", begun, waits))
        await settle()
        assert begun == ["hangs", "works"]

        works.set()
        waits.set()
    assert begun == ["hangs", "works", "waits"]


async def test_who_is_cancelled_gives_its_turn_back() -> None:
    turns, begun, never = Starts(1), list[str](), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(begin(turns, "cancelled", begun, never))
        await settle()
        task.cancel()

    async with asyncio.timeout(1), turns.turn():
        assert begun == ["cancelled"]
