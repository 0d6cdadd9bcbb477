"""The lanes that there are: which are held back, and who serves each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from headrace.contracts.ids import Lane
from headrace.core.ports.store import Store
from headrace.core.usecases.explain import HEARD_WITHIN


@dataclass(frozen=True, slots=True)
class LaneStanding:
    lane: Lane
    paused_since: datetime | None
    trouble: str | None  # why it cannot be offered
    workers: int  # heard of lately, with slots for it
    slots: int


async def lanes(store: Store) -> list[LaneStanding]:
    """By name: those of the catalog, those that workers serve, and those that are paused."""
    async with store.begin() as tx:
        paused, troubles = await tx.paused(), await tx.troubles()
        workers = await tx.workers(seen_after=await tx.now() - HEARD_WITHIN)
        known = {card.lane for card in await tx.catalog()}
    served = [(lane, slots) for worker in workers for lane, slots in worker.slots.items() if slots]
    return [
        LaneStanding(
            lane=lane,
            paused_since=paused.get(lane),
            trouble=troubles.get(lane),
            workers=sum(each == lane for each, _ in served),
            slots=sum(slots for each, slots in served if each == lane),
        )
        for lane in sorted(known | paused.keys() | troubles.keys() | {lane for lane, _ in served})
    ]
