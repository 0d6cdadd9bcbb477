"""The sweep loop's turn: find what time has overtaken, but not what an outage kept from being said."""

from __future__ import annotations

from math import inf

from headrace.core.ports.bus import Bus
from headrace.core.ports.store import Store
from headrace.core.ports.streams import Streams
from headrace.core.usecases.sweep import sweep
from headrace.dispatcher.announcer import announce
from headrace.dispatcher.counting import count_lost
from headrace.dispatcher.loops import Wake
from headrace.dispatcher.options import DispatcherOptions
from headrace.dispatcher.releasing import Releaser
from headrace.dispatcher.telling import tell_found
from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger
from headrace.telemetry.tracing import about_job

_log = get_logger("dispatcher.sweeping")


class Sweeper:
    """No lease is judged for one lease after it began, or an outage of the bus or the store ended.

    Heartbeats could not renew it, and the result of a job that is done may still be on its way.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        streams: Streams,
        options: DispatcherOptions,
        releaser: Releaser,
        work: Wake,
    ) -> None:
        self._store, self._bus, self._streams = store, bus, streams
        self._options, self._releaser, self._work = options, releaser, work
        self._away_since: float | None = -inf  # before it began it heard nobody
        self._judge_from = inf

    @property
    def judges(self) -> bool:
        """Everybody has had the time to be heard."""
        return self._away_since is None and self._options.monotonic() >= self._judge_from

    async def turn(self) -> bool:
        await self._see_who_is_there()
        full = self.judges and await self._judge()
        if again := await self._releaser.offer_again(self._options.reoffer_after):
            _log.warning("sweep.reoffered", offers=again)
            metrics.OFFERS_REPEATED.inc(again)
            self._work()
        return full

    async def _judge(self) -> bool:
        full = [await self._judge_on(path) for path in self._releaser.paths]
        return any(full)

    async def _judge_on(self, path: str) -> bool:
        options = self._options
        swept = await sweep(self._store, path=path, policy=options.retry, limit=options.batch)
        count_lost(swept.changes)
        await announce(self._streams, swept.announcements)
        await self._releaser.hint(swept.hints)
        await self._give_up_deserted(path)
        if swept.announcements:
            _log.warning("sweep.found", lost=swept.lost, expired=swept.expired)
            tell_found(swept.changes)
            self._work()
        return swept.full

    async def _give_up_deserted(self, path: str) -> None:
        """Of jobs that are to end with their watchers. The apis too could say nothing in an outage."""
        async with self._store.begin() as tx:
            deserted = await tx.wish_deserted(path, limit=self._options.batch)
            jobs = await tx.load(deserted) if deserted else {}
        for job in jobs.values():
            with about_job(job):
                _log.info("job.deserted")

    async def _see_who_is_there(self) -> None:
        """Raises Unavailable, and remembers since when."""
        began = self._options.monotonic()
        away_since = began if self._away_since is None else self._away_since
        self._away_since = away_since  # until both have answered
        await self._bus.ping()
        async with self._store.begin() as tx:
            await tx.now()
        self._away_since = None
        now, lease_s = self._options.monotonic(), self._options.lease.total_seconds()
        if now - away_since > lease_s / 3:  # long enough to miss a heartbeat
            _log.info("sweep.waits", for_s=lease_s)
            self._judge_from = now + lease_s
