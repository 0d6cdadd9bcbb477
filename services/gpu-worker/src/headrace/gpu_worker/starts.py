"""Engines start a few at a time: all at once on two cores, the first is ready when the last is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

_LONGEST_S: Final = 10.0  # a model that takes longer waits for a disk or a device, not for a core


class Starts:
    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """First come, first served. Whoever takes long keeps its place, but lets the next begin."""
        await self._free.acquire()
        given_up = asyncio.Event()

        def give_up() -> None:
            if not given_up.is_set():
                given_up.set()
                self._free.release()

        late = asyncio.get_running_loop().call_later(_LONGEST_S, give_up)
        try:
            yield
        finally:
            late.cancel()
            give_up()
