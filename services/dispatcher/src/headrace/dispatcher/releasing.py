"""The release loop's turn: end what was cancelled, queue what is due, offer what waits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from headrace.contracts.ids import Lane
from headrace.contracts.topology import Topology
from headrace.core.ports.streams import Batch
from headrace.core.usecases.cancel import honour_cancels
from headrace.core.usecases.choose import Turns
from headrace.core.usecases.gang_orders import Hints
from headrace.core.usecases.lane_queues import LaneQueues
from headrace.core.usecases.release import (
    Beside,
    Keep,
    Outlet,
    keep_all,
    nothing_beside,
    release,
    reoffer,
)
from headrace.core.usecases.runs import stop_runs
from headrace.core.usecases.sweep import queue_due
from headrace.dispatcher.announcer import announce
from headrace.dispatcher.attendance import Attendance
from headrace.dispatcher.counting import count_ended
from headrace.dispatcher.hinting import hint
from headrace.dispatcher.options import DispatcherOptions, Ports
from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger

_log = get_logger("dispatcher.releasing")


class Releaser:
    def __init__(
        self,
        ports: Ports,
        topology: Topology,
        options: DispatcherOptions,
        attendance: Attendance,
        keep: Keep = keep_all,
        beside: Beside = nothing_beside,
    ) -> None:
        self._store, self._bus, self._streams = ports.store, ports.bus, ports.streams
        self._topology, self._options = topology, options
        self._attendance = attendance
        queues = LaneQueues(ports.bus, topology, _log_trouble, options.monotonic)
        self._outlet = Outlet(
            options.path, ports.bus, topology, self._announce, queues, keep, beside
        )
        self._turns: defaultdict[str, Turns] = defaultdict(Turns)
        self._begun: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Those whose jobs it offers."""
        return self._attendance.paths

    async def turn(self) -> bool:
        paths = self.paths
        if paths != self._begun:
            # A bus that began with this process, was wiped meanwhile, or is not the one that a path's
            # jobs were offered on, holds none of the offers.
            await self.offer_again(timedelta(0))
            self._begun = paths
        more = [await self._turn(path) for path in paths]
        return any(more)

    async def _turn(self, path: str) -> bool:
        options = self._options
        await stop_runs(self._store, path=path, limit=options.batch)
        cancelled = await honour_cancels(self._store, path=path, limit=options.batch)
        count_ended(cancelled.ended)
        await self._announce(cancelled.announcements)
        await self.hint(cancelled.hints)
        due = await queue_due(self._store, path=path, limit=options.batch)
        await self._announce(due)
        sent = await release(
            self._store, self._outlet, path=path, window=options.window, turns=self._turns[path]
        )
        metrics.OFFERS_SENT.inc(sent)
        most = max(len(cancelled.announcements) + len(cancelled.hints), len(due))
        return most >= options.batch

    async def offer_again(self, older_than: timedelta) -> int:
        """Offer again what the bus has lost of the offers older than this; answers how many."""
        return await reoffer(
            self._store,
            self._outlet,
            paths=self.paths,
            older_than=older_than,
            limit=self._options.batch,
        )

    async def hint(self, hints: Hints) -> None:
        """To workers, whatever it is about."""
        await hint(self._bus, self._topology, hints, lease=self._options.lease)

    async def _announce(self, batches: Sequence[Batch]) -> None:
        await announce(self._streams, batches)


def _log_trouble(lane: Lane, trouble: str | None) -> None:
    if trouble is None:
        _log.info("lane.mended", lane=lane)
    else:
        _log.error("lane.unusable", lane=lane, error=trouble)
