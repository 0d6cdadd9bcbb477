"""What one watcher has not taken yet: bounded, and honest about having dropped something."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from headrace.contracts.frames import Entry
from headrace.core.ports.streams import Subscription

MAX_BATCHES: Final = 256
MAX_BYTES: Final = 1024 * 1024


class Buffer(Subscription):
    """Filled by the one reader of a channel, which must never wait; emptied by one watcher.

    Over its bound everything in it is dropped: the log has it, and the watcher is told to look.
    """

    def __init__(self, *, max_batches: int = MAX_BATCHES, max_bytes: int = MAX_BYTES) -> None:
        self._max_batches, self._max_bytes = max_batches, max_bytes
        self._batches: list[Sequence[Entry]] = []
        self._bytes = 0
        self._missed = False
        self._waiter: asyncio.Future[None] | None = None

    def offer(self, batch: Sequence[Entry]) -> None:
        size = sum(len(entry.data) for entry in batch)
        if len(self._batches) >= self._max_batches or self._bytes + size > self._max_bytes:
            self.look()
            return
        self._batches.append(batch)
        self._bytes += size
        self._wake()

    def look(self) -> None:
        """Something may have been missed; what was not taken is in the log as well."""
        self._clear()
        self._missed = True
        self._wake()

    @override
    async def next(self, within_s: float) -> Sequence[Entry]:
        if not self._batches and not self._missed:
            await self._woken(within_s)
        return self._take()

    async def _woken(self, within_s: float) -> None:
        """A bare future and timer: this is waited for once for every frame that is shown."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(within_s, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self) -> Sequence[Entry]:
        if self._missed:
            self._missed = False
            return ()
        batches = self._batches
        entries = batches[0] if len(batches) == 1 else [each for some in batches for each in some]
        self._clear()
        return entries

    def _clear(self) -> None:
        self._batches = []
        self._bytes = 0
