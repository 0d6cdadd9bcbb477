"""The standing loop's turn: what graphs show of the whole installation, read from the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from headrace.contracts.ids import Lane
from headrace.core.ports.operations import LaneLoad, Loads
from headrace.core.ports.store import Store, WorkerRecord
from headrace.dispatcher.attendance import Attendance
from headrace.telemetry import metrics

EVERY: Final = timedelta(seconds=5)
_SEEN_WITHIN: Final = timedelta(seconds=30)


class Standing:
    """Several dispatchers of one store say the same: look at the highest, not at the sum."""

    def __init__(self, store: Store, attendance: Attendance) -> None:
        self._store, self._attendance = store, attendance
        self._known: set[Lane] = set()  # lanes that had something once, and now have 0

    async def turn(self) -> bool:
        async with self._store.begin() as tx:
            now = await tx.now()
            loads = await tx.loads(sorted(self._known))
            workers = await tx.workers(seen_after=now - _SEEN_WITHIN)
        self._tell(loads, workers, now)
        return False

    def _tell(self, loads: Loads, workers: Sequence[WorkerRecord], now: datetime) -> None:
        served = [each for each in loads.lanes if each.path in self._attendance.paths]
        slots: Counter[Lane] = Counter()
        for worker in workers:
            slots.update({lane: worker.room(lane) for lane in worker.slots})
        self._known |= {*slots, *(each.lane for each in served)}
        metrics.WORKERS.set(len(workers))
        for lane in self._known:
            metrics.SLOTS.labels(lane=lane).set(slots[lane])
            metrics.ATTEMPTS_ENDED.labels(lane=lane, outcome="lost")  # at 0 before there is one
            _tell_lane(lane, [each for each in served if each.lane == lane])
            since = loads.oldest.get(lane, now)
            metrics.OUTBOX_OLDEST.labels(lane=lane).set((now - since).total_seconds())


def _tell_lane(lane: Lane, loads: Sequence[LaneLoad]) -> None:
    """On more than one path, while one is served for those who left it."""
    metrics.OUTBOX_WAITING.labels(lane=lane).set(sum(each.waiting for each in loads))
    metrics.OUTBOX_OFFERED.labels(lane=lane).set(sum(each.offered for each in loads))
    metrics.LEASES.labels(lane=lane).set(sum(each.running for each in loads))
