"""A background loop that cannot hang, cannot die of one bad turn, and says when it last succeeded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random
from typing import TypeAlias

from headrace.telemetry import metrics
from headrace.telemetry.logs import get_logger, trace_of

Turn: TypeAlias = Callable[[], Awaitable[bool]]
"""One turn of work; True asks for another at once, because there is more than it could take."""

_log = get_logger("dispatcher.loops")


class Wake:
    """Set by whoever knows of work; the loop that waits on it clears it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def __call__(self) -> None:
        self._event.set()

    async def wait(self, within: timedelta, stop: asyncio.Event) -> None:
        """Until woken, stopped, or `within` (give or take 30 %) is over."""
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(each.wait()) for each in (self._event, stop)]
            seconds = within.total_seconds() * (0.7 + 0.6 * _jitter.random())
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for each in waits:
                each.cancel()
        self._event.clear()


async def loop(
    name: str, turn: Turn, wake: Wake, stop: asyncio.Event, *, every: timedelta, limit: timedelta
) -> None:
    """Take turns until `stop`: at once when woken, else every so often."""
    while not stop.is_set():
        if not await _take(name, turn, limit):
            await wake.wait(every, stop)


async def _take(name: str, turn: Turn, limit: timedelta) -> bool:
    try:
        with metrics.LOOP_TURN.labels(loop=name).time():
            async with asyncio.timeout(limit.total_seconds()):
                more = await turn()
    except TimeoutError:
        _log.warning("loop.turn_failed", loop=name, error="took too long")
        return False
    except Exception as error:  # noqa: BLE001  # one row that nobody can handle must not stop all others
        _log.error("loop.turn_failed", loop=name, error=str(error), exc_info=trace_of(error))
        return False
    metrics.LOOP_LAST_SUCCESS.labels(loop=name).set_to_current_time()
    return more


_jitter = Random()
