"""A limit on each of many writes, at the price of a timer only where one waits."""

from __future__ import annotations

import asyncio


class Patience:
    """Cancels its task when a write takes longer than `limit_s`.

    `with patience:` around each write that may wait; `lost` says that it was we who cancelled. Close it.
    """

    __slots__ = ("_limit_s", "_loop", "_since", "_task", "_timer", "lost")

    def __init__(self, limit_s: float) -> None:
        self.lost = False
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None  # it serves many writes in a row

    def __enter__(self) -> None:
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._limit_s, self._look)

    def __exit__(self, *_: object) -> None:
        self._since = None

    def end(self) -> None:
        """Cancel the task for a reason of somebody else's."""
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._since is None:
            return
        left_s = self._since + self._limit_s - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
        else:
            self.lost = True
            self.end()
