"""The lanes that there are: what waits in each, since when, which are held back, and who serves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from headrace.contracts.ids import Lane
from headrace.core.ports.operations import LaneLoad, Loads
from headrace.core.ports.store import Store, Transaction, WorkerRecord
from headrace.core.usecases.explain import HEARD_WITHIN


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStanding:
    lane: Lane
    paused_since: datetime | None
    trouble: str | None  # why it cannot be offered
    workers: int  # heard of lately, with slots for it, and not draining
    slots: int
    waiting: int  # on all paths; at most so many are counted
    offered: int
    running: int
    oldest_age_s: float | None  # of those that wait or are offered, since it could have run


async def lanes(store: Store) -> list[LaneStanding]:
    async with store.begin() as tx:
        return (await standings(tx))[0]


async def standings(tx: Transaction) -> tuple[list[LaneStanding], Loads, list[WorkerRecord]]:
    """By name: those of the catalog, those that are served, paused or in trouble, and those with jobs.

    With what they were made of.
    """
    now = await tx.now()
    paused, troubles = await tx.paused(), await tx.troubles()
    workers = await tx.workers(seen_after=now - HEARD_WITHIN)
    known = {card.lane for card in await tx.catalog()} | paused.keys() | troubles.keys()
    known |= {lane for worker in workers for lane, slots in worker.slots.items() if slots}
    loads = await tx.loads(sorted(known))
    found = [
        LaneStanding(
            lane=lane,
            paused_since=paused.get(lane),
            trouble=troubles.get(lane),
            workers=sum(worker.room(lane) > 0 for worker in workers),
            slots=sum(worker.room(lane) for worker in workers),
            waiting=sum(each.waiting for each in _of(loads.lanes, lane)),
            offered=sum(each.offered for each in _of(loads.lanes, lane)),
            running=sum(each.running for each in _of(loads.lanes, lane)),
            oldest_age_s=_age_s(loads.oldest.get(lane), now),
        )
        for lane in sorted(known | {each.lane for each in loads.lanes})
    ]
    return found, loads, workers


def _of(loads: Sequence[LaneLoad], lane: Lane) -> list[LaneLoad]:
    return [each for each in loads if each.lane == lane]


def _age_s(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else max(0.0, round((now - since).total_seconds(), 3))
