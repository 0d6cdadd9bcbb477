"""What one watcher has not taken yet: bounded, and honest about having dropped something."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from headrace.contracts.frames import Entry
from headrace.core.ports.streams import Subscription, Take

MAX_BATCHES: Final = 256
MAX_BYTES: Final = 1024 * 1024


class Buffer(Subscription):
    """Filled by the one reader of a channel, which must never wait; emptied by one watcher.

    Over its bound everything in it is dropped: the log has it, and the watcher is told to look.
    """

    __slots__ = (
        *("_batches", "_bytes", "_max_batches", "_max_bytes", "_missed"),
        *("_due", "_taker", "_timer", "_waiter", "_within_s"),
    )

    def __init__(self, *, max_batches: int = MAX_BATCHES, max_bytes: int = MAX_BYTES) -> None:
        self._max_batches, self._max_bytes = max_batches, max_bytes
        self._batches: list[Sequence[Entry]] = []
        self._bytes = 0
        self._missed = False
        self._waiter: asyncio.Future[None] | None = None
        self._taker: Take | None = None
        self._within_s = 0.0
        self._due = 0.0  # when the wait is over
        self._timer: asyncio.TimerHandle | None = None

    def offer(self, batch: Sequence[Entry]) -> None:
        if self._taken(batch):
            return
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
    async def next(self, within_s: float, take: Take | None = None) -> Sequence[Entry]:
        if not self._batches and not self._missed:
            loop = asyncio.get_running_loop()
            self._waiter, self._taker = loop.create_future(), take
            self._limit(loop, within_s)
            await self._waiter
        return self._everything()

    def _taken(self, batch: Sequence[Entry]) -> bool:
        """Only while somebody waits: whoever was woken, or is cancelled, has not run yet."""
        if self._taker is None or self._waiter is None or self._waiter.done():
            return False
        if not self._taker(batch):
            return False
        self._due = self._waiter.get_loop().time() + self._within_s
        return True

    def _limit(self, loop: asyncio.AbstractEventLoop, within_s: float) -> None:
        """One timer serves many waits: most end before it rings, and it outlives the last by one."""
        self._within_s, self._due = within_s, loop.time() + within_s
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

    def _everything(self) -> Sequence[Entry]:
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
