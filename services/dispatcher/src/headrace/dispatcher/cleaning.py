"""The purge and collect loops' turns: what is old goes, and the blobs that nobody names."""

from __future__ import annotations

from typing import Final

from headrace.core.ports.blobs import Blobs
from headrace.core.ports.store import Store
from headrace.core.usecases.purge import collect, purge
from headrace.dispatcher.options import DispatcherOptions
from headrace.dispatcher.sweeping import Sweeper

_PAGE: Final = 1000  # blobs


class Cleaner:
    def __init__(
        self, store: Store, blobs: Blobs, options: DispatcherOptions, sweeper: Sweeper
    ) -> None:
        self._store, self._blobs, self._options = store, blobs, options
        self._sweeper = sweeper
        self._place = ""

    async def purge(self) -> bool:
        """True: there is more."""
        options = self._options
        return await purge(self._store, self._blobs, kept=options.kept, limit=options.batch)

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
