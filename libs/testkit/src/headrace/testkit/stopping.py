"""Runs what cleans up after itself, also when it is told to stop by SIGTERM: `timeout`, a CI that gives up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")
STOPPED: Final = 128 + signal.SIGTERM  # as a shell tells it


def run_to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`; told to stop, the work is cancelled, cleans up, and the process leaves with STOPPED.

    Cleaning up has limits of its own, so a second SIGTERM changes nothing. Nothing helps against SIGKILL.
    """
    try:
        return asyncio.run(_heeding(work))
    except asyncio.CancelledError:
        raise SystemExit(STOPPED) from None


async def _heeding(work: Coroutine[Any, Any, T]) -> T:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None

    def stop() -> None:
        loop.add_signal_handler(signal.SIGTERM, lambda: None)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, stop)
    return await work
