"""A limit on each of many writes at the price of one timer, since most of them never wait."""

from __future__ import annotations

import asyncio


class Patience:
    """Cancels its task when a write takes longer than `limit_s`, and at the latest after twice that.

    `with patience:` around each write; `lost` says that it was we who cancelled. Close it.
    """

    def __init__(self, limit_s: float) -> None:
        self.lost = False
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._since: float | None = None
        self._timer = self._loop.call_later(limit_s, self._look)

    def __enter__(self) -> None:
        self._since = self._loop.time()

    def __exit__(self, *_: object) -> None:
        self._since = None

    def end(self) -> None:
        """Cancel the task for a reason of somebody else's."""
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        waited_s = 0.0 if self._since is None else self._loop.time() - self._since
        if waited_s < self._limit_s:
            self._timer = self._loop.call_later(self._limit_s, self._look)
        else:
            self.lost = True
            self.end()
