"""The batches loop's turn: some more items begin, and what is left of cancelled batches is asked to end."""

from __future__ import annotations

from collections import Counter

from headrace.core.batch import ItemState
from headrace.core.inputs import check_input
from headrace.core.usecases.admit import Admission
from headrace.core.usecases.batches import stop_batches
from headrace.core.usecases.expand import Expansion, Sources, expand
from headrace.dispatcher.attendance import Attendance
from headrace.dispatcher.options import DispatcherOptions, Ports
from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger

_log = get_logger("dispatcher.batches")


class BatchDesk:
    def __init__(self, ports: Ports, options: DispatcherOptions, attendance: Attendance) -> None:
        self._store, self._options, self._attendance = ports.store, options, attendance
        self._sources = Sources(ports.blobs)
        self._how = Expansion(
            check=check_input,
            admission=Admission(options.caps, options.monotonic),
            basis=options.basis,
        )

    async def turn(self) -> bool:
        """True: there is more."""
        more = [await self._turn(path) for path in self._attendance.paths]
        return any(more)

    async def _turn(self, path: str) -> bool:
        stopped = await stop_batches(self._store, path=path, limit=self._options.batch)
        begun = await self._expand(path)
        return begun or len(stopped) >= self._options.batch

    async def _expand(self, path: str) -> bool:
        limit = self._options.batch
        done = await expand(self._store, self._sources, self._how, path=path, limit=limit)
        if done is None:
            return False
        counts = Counter("begun" if it.state is ItemState.OPEN else it.state for it in done.items)
        for outcome, count in counts.items():
            metrics.BATCH_ITEMS.labels(outcome=outcome).inc(count)
        batch = done.batch
        _log.info(
            "batch.expanded",
            batch=batch.id,
            begun=batch.begun,
            total=batch.total,
            held_up=batch.held_up,
        )
        return True
