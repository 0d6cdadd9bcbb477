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


async def test_a_waiter_who_takes_at_once_is_not_woken_and_gets_what_he_refuses() -> None:
    buffer, took = Buffer(), list[object]()

    def take(batch: object) -> bool:
        took.append(batch)
        return len(took) < 3

    wait = asyncio.ensure_future(buffer.next(60, take))  # noqa: TID251  # as a task of its own
    await asyncio.sleep(0)
    buffer.offer([FRAME])
    buffer.offer([FRAME])
    await asyncio.sleep(0)
    waits_on = not wait.done()
    buffer.offer([FRAME])
    buffer.offer([FRAME])  # whoever has refused is not asked again before he waits again

    assert waits_on
    assert await wait == [FRAME, FRAME]
    assert len(took) == 3


async def test_silence_counts_from_what_was_taken_last() -> None:
    buffer, loop = Buffer(), asyncio.get_running_loop()
    began = loop.time()
    loop.call_later(0.1, buffer.offer, [FRAME])

    assert not await buffer.next(0.15, lambda _: True)

    assert loop.time() - began >= 0.24


async def test_who_is_cancelled_or_told_to_look_takes_nothing_more() -> None:
    buffer, took = Buffer(), list[object]()

    def take(batch: object) -> bool:
        took.append(batch)
        return True

    for end in ("cancel", "look"):
        wait = asyncio.ensure_future(buffer.next(60, take))  # noqa: TID251  # as a task of its own
        await asyncio.sleep(0)
        wait.cancel() if end == "cancel" else buffer.look()
        buffer.offer([FRAME])
        await asyncio.wait([wait])

    assert took == []
