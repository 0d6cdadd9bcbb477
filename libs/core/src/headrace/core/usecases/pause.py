"""Hold a lane back and let it go on. What runs goes on running; what waits keeps its place.

A paused lane offers nothing, and a claim of what was offered before is refused: so from the moment
the pause is kept, nothing of the lane starts.
"""

from __future__ import annotations

from datetime import datetime

from headrace.contracts.ids import Lane
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.store import Store


async def pause(store: Store, lane: Lane, *, who: str) -> datetime:
    """Answers since when; pausing what is paused changes nothing."""
    async with store.begin() as tx:
        await tx.audit([Deed(who, "lane.pause", lane)])
        return await tx.pause(lane)


async def resume(store: Store, lane: Lane, *, who: str) -> None:
    async with store.begin() as tx:
        await tx.audit([Deed(who, "lane.resume", lane)])
        await tx.resume(lane)
