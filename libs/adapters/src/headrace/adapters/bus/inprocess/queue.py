"""One queue in memory: first in, first out; bounded; what comes back keeps its place and is counted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Letter:
    body: bytes
    headers: Mapping[str, str]
    returns: int = 0  # how often it was handed out and came back unsettled


class LocalQueue:
    def __init__(
        self, name: str, *, bound: int, returns: int | None, park: Callable[[Letter, str], None]
    ) -> None:
        """`returns`: how often a letter may come back before it is parked (None: no limit)."""
        self.name = name
        self.receivers = 0
        self._bound = bound
        self._returns = returns
        self._park = park
        self._ready: deque[Letter] = deque()
        self._takers: deque[asyncio.Future[Letter]] = deque()
        self._room = asyncio.Event()

    @property
    def ready(self) -> int:
        return len(self._ready)

    async def put(self, letter: Letter) -> None:
        """Waits for room as long as its caller does."""
        while len(self._ready) >= self._bound:
            self._room.clear()
            await self._room.wait()
        self._append(letter)

    def push(self, letter: Letter) -> None:
        """Never waits: a full queue loses its oldest letter instead."""
        if len(self._ready) >= self._bound:
            self._ready.popleft()
        self._append(letter)

    async def take(self) -> Letter:
        """Takers are served in the order in which they came."""
        taker: asyncio.Future[Letter] = asyncio.get_running_loop().create_future()
        self._takers.append(taker)
        self._hand_out()
        try:
            return await taker
        except asyncio.CancelledError:
            # It may have been handed over in the very moment of the cancellation.
            if taker.done() and not taker.cancelled():
                self._ready.appendleft(taker.result())
                self._hand_out()
            raise

    def give_back(self, letter: Letter) -> None:
        """Back to the head, over the bound if need be: it was accepted once."""
        again = replace(letter, returns=letter.returns + 1)
        if self._returns is not None and again.returns > self._returns:
            self._park(again, "delivery_limit")
            return
        self._ready.appendleft(again)
        self._hand_out()

    def _append(self, letter: Letter) -> None:
        self._ready.append(letter)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._ready and self._takers:
            taker = self._takers.popleft()
            if not taker.done():  # a cancelled taker stays in line until its turn
                taker.set_result(self._ready.popleft())
        if len(self._ready) < self._bound:
            self._room.set()
