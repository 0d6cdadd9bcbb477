"""Whoever gives up in the middle of a transaction leaves nothing of it, and nobody waiting."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from headrace.core.ports.store import NewJob, Store
from headrace.testkit.conformance.store.room import StoreRoom, put

TRIES = 40
STEP_S = 0.001  # later by so much each time: while one connects, begins, asks, commits
AT_ONCE_S = 4.0  # less than any lock's time limit


class GivingUp(StoreRoom):
    async def test_callers_that_are_cancelled_hold_up_nobody(self, store: Store, new: Any) -> None:
        for nth in range(TRIES):
            pairs = [(new(), new()) for _ in range(4)]
            async with asyncio.TaskGroup() as group:
                for place, (first, last) in enumerate(pairs):
                    within_s = (nth + place / len(pairs)) * STEP_S
                    group.create_task(_give_up(store, first, last, within_s))
                group.create_task(_ask(store, nth * STEP_S))

            async with asyncio.timeout(AT_ONCE_S):
                (kept,) = await put(store, new())

            for first, last in pairs:
                ids = {first.job.id, last.job.id}
                async with store.begin() as tx:
                    found = set(await tx.load([kept.id, *ids]))
                assert found in ({kept.id}, {kept.id, *ids})


async def _give_up(store: Store, first: NewJob, last: NewJob, within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s), store.begin() as tx:
            await tx.insert([first])
            for _ in range(5):
                await tx.load([first.job.id])
            await tx.insert([last])


async def _ask(store: Store, within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await store.ping()
