"""Waiting in tests: the one place that sleeps, and it always ends."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(
    predicate: Callable[[], Awaitable[T]], *, within: float = ..., every: float = ...
) -> T: ...
@overload
async def eventually(
    predicate: Callable[[], T], *, within: float = ..., every: float = ...
) -> T: ...
async def eventually(
    predicate: Callable[[], object], *, within: float = 5.0, every: float = 0.02
) -> object:
    """Return the first truthy answer of `predicate`; fail after `within` seconds.

    The predicate may assert: an AssertionError counts as "not yet" and is what the test
    fails with in the end, so that the reason is on the page.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        answer, reason = await _ask(predicate)
        if reason is None:
            return answer
        if loop.time() >= deadline:
            raise AssertionError(f"not so within {within} s: {reason}") from reason
        await asyncio.sleep(every)


async def _ask(predicate: Callable[[], object]) -> tuple[object, AssertionError | None]:
    try:
        asked = predicate()
        answer = await asked if inspect.isawaitable(asked) else asked
    except AssertionError as no:
        return None, no
    return answer, None if answer else AssertionError(f"the last answer was {answer!r}")
