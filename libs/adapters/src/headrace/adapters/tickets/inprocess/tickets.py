"""Tickets in memory: bounded, and gone with the process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from typing_extensions import override

from headrace.core.ports.tickets import Tickets


class InProcessTickets(Tickets):
    """Over its bound the oldest go: their holders ask for new ones."""

    def __init__(
        self, *, max_notes: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_notes, self._clock = max_notes, clock
        self._notes: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    @override
    async def keep(self, name: str, note: bytes, *, for_s: float) -> None:
        self._notes[name] = (self._clock() + for_s, note)
        while len(self._notes) > self._max_notes:
            self._notes.popitem(last=False)

    @override
    async def take(self, name: str) -> bytes | None:
        dies_at, note = self._notes.pop(name, (0.0, b""))
        return note if dies_at > self._clock() else None
