"""What one watcher waits with: one timer for many waits, each of which ends in its own time."""

from __future__ import annotations

import asyncio

from headrace.adapters.streams.buffer import Buffer
from headrace.contracts.frames import Entry
from headrace.contracts.ids import Position

FRAME = Entry(Position(1, 1), "token", b'{"type":"token","text":"a"}')


async def heard_after(buffer: Buffer, within_s: float) -> object:
    """What a wait for a frame that is said meanwhile gets."""
    asyncio.get_running_loop().call_soon(buffer.offer, [FRAME])
    return await buffer.next(within_s)


async def test_a_wait_is_over_in_its_time_after_a_longer_one_that_was_not_used_up() -> None:
    buffer = Buffer()
    assert await heard_after(buffer, 60) == [FRAME]

    async with asyncio.timeout(10):
        assert not await buffer.next(0.01)


async def test_a_wait_is_not_cut_short_by_what_is_left_of_the_one_before() -> None:
    buffer, clock = Buffer(), asyncio.get_running_loop().time
    assert await heard_after(buffer, 0.02) == [FRAME]
    began = clock()

    assert not await buffer.next(0.2)

    assert clock() - began >= 0.19


async def test_many_waits_in_a_row_hold_one_timer() -> None:
    buffer, loop = Buffer(), asyncio.get_running_loop()
    await heard_after(buffer, 60)
    timer = buffer._timer

    for _ in range(10):
        await heard_after(buffer, 60)

    assert buffer._timer is timer
    assert timer is not None
    assert timer.when() > loop.time()
