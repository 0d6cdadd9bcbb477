"""The purge, erase and collect loops' turns: what is old goes, what somebody wants gone, and blobs that nobody names."""

from __future__ import annotations

from typing import Final

from headrace.core.usecases.erase import Places
from headrace.core.usecases.go_on_erasing import go_on
from headrace.core.usecases.purge import collect, purge, purge_own
from headrace.dispatcher.options import DispatcherOptions, Ports
from headrace.dispatcher.sweeping import Sweeper
from headrace.telemetry.logs import get_logger

_log = get_logger("dispatcher.cleaning")
_WISHES: Final = 10  # at a time
_PAGE: Final = 1000  # blobs


class Cleaner:
    def __init__(self, ports: Ports, options: DispatcherOptions, sweeper: Sweeper) -> None:
        self._store, self._blobs, self._options = ports.store, ports.blobs, options
        self._places = Places(ports.streams, ports.blobs, ports.producers)
        self._sweeper = sweeper
        self._place = ""
        self._tenant = ""  # whose own retention was honoured last

    async def purge(self) -> bool:
        """True: there is more."""
        options, blobs = self._options, self._blobs
        more = await purge(self._store, blobs, kept=options.kept, limit=options.batch)
        after = self._tenant
        self._tenant, own = await purge_own(self._store, blobs, after=after, limit=options.batch)
        return more or own

    async def erase(self) -> bool:
        """What somebody wants gone, a step further; True: there is more."""
        went = await go_on(self._store, self._places, limit=_WISHES)
        for each in went.deletions:
            if each.finished_at is not None or each.next_at is None:
                _log.info("deletion.over", deletion=each.id, tenant=each.tenant, **each.removed)
        return went.more

    async def collect(self) -> bool:
        """One page of the blobs; True: there is another.

        Nothing while jobs are kept for ever. Nothing after an outage either until every result that
        was on its way has been heard: it may name blobs that nobody names yet.
        """
        if self._options.kept.jobs is None or not self._sweeper.judges:
            return False
        after = await collect(self._store, self._blobs, after=self._place, limit=_PAGE)
        self._place = after or ""
        return after is not None
