"""What is told to stop cleans up, however often it is told."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from headrace.testkit.stopping import STOPPED, run_to_the_end


def test_what_is_told_to_stop_cleans_up_and_says_so() -> None:
    cleaned: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(10):
                await asyncio.sleep(0)
            cleaned.append("all of it")

    with pytest.raises(SystemExit) as left:
        run_to_the_end(work())

    assert (left.value.code, cleaned) == (STOPPED, ["all of it"])


def test_what_ends_by_itself_answers() -> None:
    async def work() -> int:
        return 7

    assert run_to_the_end(work()) == 7
