"""Waiting well: pauses that grow with jitter, and waits that end when a bell rings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from random import Random
from typing import TypeVar

T = TypeVar("T")


def pauses(random: Random, *, first_s: float, cap_s: float) -> Iterator[float]:
    """Endless, doubling up to a cap, each between half and all of its ceiling."""
    ceiling = first_s
    while True:
        yield ceiling * (0.5 + random.random() / 2)
        ceiling = min(cap_s, ceiling * 2)


async def rings(bell: asyncio.Event, within_s: float) -> bool:
    """Whether the bell rings within so many seconds."""
    try:
        async with asyncio.timeout(within_s):
            await bell.wait()
    except TimeoutError:
        return False
    return True


async def until(bell: asyncio.Event, doing: Awaitable[T]) -> T | None:
    """What `doing` gives, or None if the bell rings first, and then `doing` is cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            ringing = group.create_task(bell.wait())
            done = group.create_task(_await(doing))
            await asyncio.wait({ringing, done}, return_when=asyncio.FIRST_COMPLETED)
            ringing.cancel()
            done.cancel()
    except ExceptionGroup as group_error:  # only `doing` can fail: say what it said
        raise group_error.exceptions[0] from None
    return None if done.cancelled() else done.result()


async def _await(doing: Awaitable[T]) -> T:
    return await doing
