"""A job may be told to end with its watchers: not before one came, not while one comes back in time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx
import pytest
import pytest_asyncio

from headrace.testkit.client import User
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(150),
]
LONG = {"text": " ".join(["word"] * 2_000), "delay_s": 0.05}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    async with running(mode, tmp_path_factory.mktemp(mode), SLOTS="echo=3") as system:
        yield system


async def test_a_job_ends_with_its_last_watcher(system: System) -> None:
    async with httpx.AsyncClient(base_url=system.url, trust_env=False) as http:
        user = User(http)
        left = await _submit(user, 1)
        kept = await _submit(user, 30)
        unwatched = await _submit(user, 0)
        for job in (left, kept):
            await _glance(user, job)

        async def cancelled() -> bool:
            return bool((await user.get(left))["state"] == "cancelled")

        await eventually(cancelled, within=40, every=0.5)
        timeline = await user.get(left, "/timeline")
        others = [(await user.get(job))["state"] for job in (kept, unwatched)]
        for job in (kept, unwatched):
            await user.cancel(job)
        asked = await user.get(kept, "/timeline")

    assert timeline["cancel_reason"] == "disconnected"
    assert others == ["running", "running"]
    assert asked["cancel_reason"] == "asked"


async def _submit(user: User, cancel_after: float) -> Any:
    return await user.submit(input=LONG, on_disconnect={"cancel_after": cancel_after})


async def _glance(user: User, job: Any) -> None:
    """Watch until it runs, then leave."""
    async with aclosing(user.frames(job)) as frames:
        async for seen in frames:
            if seen.type == "token":
                return
