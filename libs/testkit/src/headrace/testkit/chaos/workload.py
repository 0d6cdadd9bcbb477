"""Mixed work at a steady pace: short, long, failing, crashing, cancelled; most of it is watched."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from headrace.testkit.chaos.rig import Rig


async def mixed_load(here: Rig, seconds: float) -> None:
    """For so long, and then until every request of it has its answer."""
    random = here.random
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        while time.monotonic() < until:
            group.create_task(_one(here, random.random()))
            await asyncio.sleep(random.uniform(0.2, 0.6))


async def _one(here: Rig, kind: float) -> None:
    given: dict[str, Any] = {"words": here.random.choice([2, 10, 40]), "delay_s": 0.03}
    if kind < 0.1:
        given["fail"] = "transient"
    elif kind < 0.13:
        given["fail"] = "crash"
    elif kind < 0.16:
        given["fail"] = "input"
    job = await here.crowd.submit(**given)
    if kind < 0.7:
        here.watch(job)
    if kind > 0.9:
        await here.crowd.cancel(job)
