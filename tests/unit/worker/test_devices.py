"""GPUs for gangs: all at one time or none, in the order in which they were asked for."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from headrace.gpu_worker.devices import Devices, NotEnough


@pytest.fixture
def devices() -> Devices:
    return Devices(["0", "1", "2", "3"])


async def a_moment() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class Gang:
    """Takes so many and keeps them until it is let go."""

    def __init__(self, devices: Devices, count: int) -> None:
        self.given: list[str] | None = None
        self._go = asyncio.Event()
        self._devices, self._count = devices, count

    async def run(self) -> None:
        async with self._devices.taken(self._count) as given:
            self.given = given
            await self._go.wait()

    def end(self) -> None:
        self._go.set()


async def test_a_gang_gets_all_that_it_wants_and_gives_it_back(devices: Devices) -> None:
    async with devices.taken(3) as given:
        assert (len(given), devices.free) == (3, 1)

    assert devices.free == 4


async def test_no_device_is_given_twice(devices: Devices) -> None:
    async with AsyncExitStack() as stack:
        given = [await stack.enter_async_context(devices.taken(2)) for _ in range(2)]

    assert sorted(device for each in given for device in each) == ["0", "1", "2", "3"]


async def test_two_that_want_more_than_half_each_run_one_after_the_other(devices: Devices) -> None:
    one, other = Gang(devices, 3), Gang(devices, 3)
    async with asyncio.TaskGroup() as group:
        for gang in (one, other):
            group.create_task(gang.run())
        await a_moment()
        assert (one.given, other.given) == (["0", "1", "2"], None)
        one.end()
        await a_moment()
        assert other.given is not None
        other.end()


async def test_who_wants_many_is_not_overtaken_by_who_wants_few(devices: Devices) -> None:
    first, many, few = Gang(devices, 2), Gang(devices, 4), Gang(devices, 1)
    async with asyncio.TaskGroup() as group:
        for gang in (first, many, few):
            group.create_task(gang.run())
        await a_moment()
        assert (many.given, few.given) == (None, None)
        first.end()
        await a_moment()
        assert many.given is not None
        assert few.given is None
        many.end()
        await a_moment()
        assert few.given is not None
        few.end()


async def test_who_stops_waiting_lets_those_behind_move_up(devices: Devices) -> None:
    first, many, few = Gang(devices, 2), Gang(devices, 4), Gang(devices, 1)
    async with asyncio.TaskGroup() as group:
        _, waiting, _ = [group.create_task(gang.run()) for gang in (first, many, few)]
        await a_moment()
        waiting.cancel()
        await a_moment()
        assert few.given is not None
        first.end()
        few.end()

    assert devices.free == 4


async def test_what_was_given_to_somebody_who_left_that_moment_comes_back(devices: Devices) -> None:
    first, late = Gang(devices, 4), Gang(devices, 4)
    async with asyncio.TaskGroup() as group:
        _, leaving = [group.create_task(gang.run()) for gang in (first, late)]
        await a_moment()
        first.end()
        await asyncio.sleep(0)  # it has given back, and the other was given, and does not know yet
        leaving.cancel()

    assert devices.free == 4


async def test_more_than_there_are_is_refused_at_once(devices: Devices) -> None:
    with pytest.raises(NotEnough, match="wants 5 GPUs or processes, and this worker has 4"):
        async with devices.taken(5):
            pass
