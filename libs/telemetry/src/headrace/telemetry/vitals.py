"""Is this process still quick? One small task that wakes up often and looks how late it is."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from headrace.telemetry import metrics

EVERY_S: Final = 0.5


class Vitals:
    """A role, in every process."""

    name = "vitals"

    async def serve(self, stop: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        while not stop.is_set():
            due = clock() + EVERY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await stop.wait()
            metrics.EVENT_LOOP_LAG.observe(max(0.0, clock() - due))
