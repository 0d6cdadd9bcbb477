"""The standing loop's turn: what graphs show of the whole installation, read from the store."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Final

from headrace.core.ports.standing import LaneStanding
from headrace.core.ports.store import Store, WorkerRecord
from headrace.dispatcher.attendance import Attendance
from headrace.telemetry import metrics

EVERY: Final = timedelta(seconds=5)
COUNTED_TO: Final = 10_000  # of a backlog: beyond that nobody needs to know exactly
_SEEN_WITHIN: Final = timedelta(seconds=30)


class Standing:
    """Several dispatchers of one store say the same: look at the highest, not at the sum."""

    def __init__(self, store: Store, attendance: Attendance) -> None:
        self._store, self._attendance = store, attendance
        self._known: set[str] = set()  # lanes that had something once, and now have 0

    async def turn(self) -> bool:
        lanes: list[LaneStanding] = []
        async with self._store.begin() as tx:
            for path in self._attendance.paths:
                lanes += await tx.standing(path, at_most=COUNTED_TO)
            workers = await tx.workers(seen_after=await tx.now() - _SEEN_WITHIN)
        self._tell(lanes, workers)
        return False

    def _tell(self, lanes: list[LaneStanding], workers: list[WorkerRecord]) -> None:
        slots: Counter[str] = Counter()
        for worker in workers:
            slots.update({str(lane): number for lane, number in worker.slots.items()})
        self._known |= {*slots, *(str(each.lane) for each in lanes)}
        metrics.WORKERS.set(len(workers))
        for lane in self._known:
            metrics.SLOTS.labels(lane=lane).set(slots[lane])
            metrics.ATTEMPTS_ENDED.labels(lane=lane, outcome="lost")  # at 0 before there is one
            _tell_lane(lane, [each for each in lanes if each.lane == lane])


def _tell_lane(lane: str, standings: list[LaneStanding]) -> None:
    """On more than one path, while one is served for those who left it."""
    metrics.OUTBOX_WAITING.labels(lane=lane).set(sum(each.waiting for each in standings))
    metrics.OUTBOX_OFFERED.labels(lane=lane).set(sum(each.offered for each in standings))
    metrics.LEASES.labels(lane=lane).set(sum(each.held for each in standings))
    metrics.OUTBOX_OLDEST.labels(lane=lane).set(
        max((each.oldest_s for each in standings), default=0.0)
    )
