"""Several things at once, until the first of them is over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.types import Receive


async def race(*contenders: Coroutine[Any, Any, object]) -> None:
    """Run all until one returns, then cancel and await the others; an error of any is raised."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(contender) for contender in contenders]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


async def gone(receive: Receive) -> None:
    """Returns when the client has left, or has all that it asked for."""
    while (await receive())["type"] != "http.disconnect":
        pass
