"""The devices of a worker that gangs share: given together, in the order in which they are asked for.

Laws:
1. A gang gets all that it wants at one time, or waits: two that have half of it each cannot be.
2. Nobody overtakes: whoever wants many is not starved by those who want few.
3. What was given comes back, however its gang ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager


class NotEnough(Exception):
    """There are not so many here, and never will be."""

    def __init__(self, wanted: int, there: int) -> None:
        super().__init__(f"it wants {wanted} GPUs or processes, and this worker has {there}")


class Devices:
    def __init__(self, names: Sequence[str]) -> None:
        self._free = list(names)
        self._there = len(names)
        self._line: deque[tuple[int, asyncio.Future[list[str]]]] = deque()

    @property
    def free(self) -> int:
        return len(self._free)

    @asynccontextmanager
    async def taken(self, count: int) -> AsyncGenerator[list[str]]:
        """Raises NotEnough. Who stops waiting has to cancel this."""
        if count > self._there:
            raise NotEnough(count, self._there)
        given = await self._given(count)
        try:
            yield given
        finally:
            self._take_back(given)

    async def _given(self, count: int) -> list[str]:
        turn = asyncio.get_running_loop().create_future()
        self._line.append((count, turn))
        self._serve()
        try:
            given: list[str] = await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._serve()  # those behind it move up
            else:  # given at the very moment at which nobody waited any more
                self._take_back(turn.result())
            raise
        return given

    def _take_back(self, given: list[str]) -> None:
        self._free += given
        self._serve()

    def _serve(self) -> None:
        while self._line:
            count, turn = self._line[0]
            if not turn.cancelled() and count > len(self._free):
                return
            self._line.popleft()
            if not turn.cancelled():
                given, self._free = self._free[:count], self._free[count:]
                turn.set_result(given)
