"""Which paths this dispatcher serves: its own, and another that everybody else has left.

A job ends on the path on which it was accepted, for as long as that path has a dispatcher. When the
last one has been silent for two leases (the mode was switched, for good or for a while), whoever is
left serves its jobs over its own bus, and stops as soon as the other is back. Nothing is rewritten,
so there is nothing to undo; and while both serve one path, claims decide, as between any two.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import inf

from headrace.core.ports.store import Store
from headrace.core.usecases.attend import attend
from headrace.dispatcher.options import DispatcherOptions
from headrace.telemetry.logs import get_logger

_log = get_logger("dispatcher.attendance")


class Attendance:
    """Nobody is taken for gone by who has itself been here for less than a lease without a break.

    After an outage of the store everybody looks gone to the one that comes back first.
    """

    def __init__(
        self, store: Store, options: DispatcherOptions, changed: Callable[[], None]
    ) -> None:
        self._store, self._options, self._changed = store, options, changed
        self.paths: tuple[str, ...] = (options.path,)
        self._here_since = self._last = -inf

    @property
    def every(self) -> timedelta:
        return self._options.lease / 6

    async def turn(self) -> bool:
        options = self._options
        deserted = await attend(self._store, path=options.path, for_=2 * options.lease)
        now, lease_s = options.monotonic(), options.lease.total_seconds()
        if now - self._last > lease_s:
            self._here_since = now
        self._last = now
        served = deserted if now - self._here_since >= lease_s else []
        self._serve((options.path, *served))
        return False

    def _serve(self, paths: tuple[str, ...]) -> None:
        if paths == self.paths:
            return
        _log.warning("paths.changed", before=self.paths, after=paths)
        self.paths = paths
        self._changed()
