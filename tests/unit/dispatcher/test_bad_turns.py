"""A bad turn is told, with a stack trace only where nothing else explains it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from headrace.core.errors import HeadraceError, Misconfigured, Unavailable
from headrace.dispatcher.loops import Wake, loop

SOON, LONG = timedelta(seconds=0.001), timedelta(seconds=5)


@pytest.mark.parametrize(
    ("error", "with_trace"),
    [
        (Unavailable("the store", "a test says so"), False),
        (Misconfigured("Queue 'q' differs.", "Delete it."), False),
        (ValueError("a slip of ours"), True),
    ],
)
async def test_a_turn_that_fails_is_told_and_followed_by_another(
    error: Exception, with_trace: bool
) -> None:
    stop, turns = asyncio.Event(), 0

    async def turn() -> bool:
        nonlocal turns
        turns += 1
        if turns == 1:
            raise error
        stop.set()
        return False

    with capture_logs() as logs:
        await loop("test", turn, Wake(), stop, every=SOON, limit=LONG)

    (line,) = [each for each in logs if each["event"] == "loop.turn_failed"]
    assert turns == 2
    assert str(error) in line["error"]
    assert isinstance(error, HeadraceError) or line["exc_info"] is error
    assert bool(line["exc_info"]) is with_trace
