"""Whether the slots of a worker take offers: not while it drains, and never again once it stops."""

from __future__ import annotations

import asyncio


class Gate:
    """What runs goes on in any case; an operator's word comes and goes, a stop stays."""

    def __init__(self) -> None:
        self.draining = False
        self.closed = asyncio.Event()  # set: whoever waits for an offer leaves
        self._open = asyncio.Event()
        self._open.set()
        self._stopped = False

    async def opened(self) -> None:
        await self._open.wait()

    def drain(self, *, asked: bool) -> None:
        self.draining = asked
        self._turn()

    def stop(self) -> None:
        self._stopped = True
        self._turn()

    def _turn(self) -> None:
        if self.draining or self._stopped:
            self._open.clear()
            self.closed.set()
        else:
            self.closed.clear()
            self._open.set()
