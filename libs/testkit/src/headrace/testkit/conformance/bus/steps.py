"""The small steps that every bus test is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from headrace.core.ports.bus import (
    Bus,
    Delivery,
    Depth,
    Parcel,
    Sent,
)
from headrace.testkit.waits import eventually

PATIENCE_S = 10.0
NOTHING_COMES_S = 0.3


async def taken(deliveries: AsyncIterator[Delivery]) -> Delivery:
    async with asyncio.timeout(PATIENCE_S):
        return await anext(deliveries)


async def nothing_comes(deliveries: AsyncIterator[Delivery]) -> bool:
    try:
        async with asyncio.timeout(NOTHING_COMES_S):
            await anext(deliveries)
    except TimeoutError:
        return True
    return False


async def bodies(deliveries: AsyncIterator[Delivery], count: int) -> list[bytes]:
    """Take and acknowledge that many."""
    found = []
    for _ in range(count):
        delivery = await taken(deliveries)
        await delivery.ack()
        found.append(delivery.body)
    return found


async def sent(
    bus: Bus, queue: str, *texts: bytes, headers: Mapping[str, str] | None = None
) -> None:
    outcomes = await bus.send([Parcel(queue, text, headers or {}) for text in texts])
    assert outcomes == [Sent.KEPT] * len(texts)


async def ready(bus: Bus, queue: str, expected: int) -> None:
    async def as_expected() -> bool:
        depth = await bus.depth(queue)
        assert depth.ready == expected
        return True

    await eventually(as_expected, within=PATIENCE_S)


async def listened_to(bus: Bus, queue: str, expected: int) -> Depth:
    depth = await bus.depth(queue)
    assert depth.consumers == expected
    return depth
