"""Something that serves, running beside a test and stopped at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Served:
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def ended(self, within: float = 10.0) -> None:
        """Wait for it; raises what it raised."""
        async with asyncio.timeout(within):
            await asyncio.shield(self.task)


@asynccontextmanager
async def served(
    serve: Callable[[asyncio.Event], Awaitable[None]], *, within: float = 15.0
) -> AsyncGenerator[Served]:
    """Leaving sets `stop`, waits, and raises what failed; cancels what does not end in time."""
    stop = asyncio.Event()

    async def run() -> None:
        await serve(stop)

    task = asyncio.create_task(run())
    try:
        yield Served(stop, task)
    finally:
        stop.set()
        await asyncio.wait({task}, timeout=within)
        late = not task.done()
        if late:
            task.cancel()
            await asyncio.wait({task})
        assert not late, f"still serving {within} s after it was told to stop"
        if not task.cancelled():
            task.result()
