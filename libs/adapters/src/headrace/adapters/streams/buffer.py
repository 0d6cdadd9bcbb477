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
        self._due = 0.0  # when the wait is over
        self._timer: asyncio.TimerHandle | None = None

    def offer(self, batch: Sequence[Entry]) -> None:
        size = len(batch[0].data) if len(batch) == 1 else sum(len(each.data) for each in batch)
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
            # A bare future: this is waited for once for every frame that is shown.
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            self._limit(loop, within_s)
            await self._waiter
        return self._take()

    def _limit(self, loop: asyncio.AbstractEventLoop, within_s: float) -> None:
        """One timer serves many waits: most end before it rings, and it outlives the last by one."""
        self._due = loop.time() + within_s
        if self._timer is not None and self._timer.when() > self._due:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = loop.call_later(within_s, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        left_s = self._due - loop.time()
        if left_s > 0:
            self._timer = loop.call_later(left_s, self._ring, loop)
        else:
            self._wake()

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
