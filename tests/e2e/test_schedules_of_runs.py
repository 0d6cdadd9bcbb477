"""A schedule begins a run of a pipeline at its time: one, however many dispatchers look."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from headrace.adapters.store.sql import open_sql_store
from headrace.contracts.ids import ScheduleId
from headrace.testkit.client import User
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(150),
]
CHAIN = "headrace.testkit.runs_at_the_door:CHAIN"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    async with running(mode, tmp_path_factory.mktemp(mode), PIPELINES=CHAIN) as system:
        if mode == "EDA":
            for number in (2, 3):
                await system.start(f"dispatcher@{number}")
        yield system


async def test_a_schedule_begins_one_run_at_its_time_whoever_looks(
    user: User, system: System
) -> None:
    asked = {"cron": "0 6 1 1 *", "run": {"pipeline": "chain", "input": {"text": "tick tock"}}}
    made = (await user.http.post("/schedules", json=asked)).raise_for_status().json()
    at = f"/schedules/{made['id']}"
    now = await brought_forward(system, made["id"])

    async def fired() -> list[Any]:
        fires: list[Any] = (await user.http.get(at)).json()["fires"]
        return fires

    (first,) = await eventually(fired, within=30, every=0.2)
    after = (await user.http.get(at)).json()
    assert (await user.http.delete(at)).status_code == 204

    assert datetime.fromisoformat(first["fire_at"]) == now
    assert (first["job"], first["error"]) == (None, None)
    assert after["next_at"] == made["next_at"]
    assert await ends(user, first["run"]) == "succeeded"
    runs = (await user.http.get("/runs")).json()["runs"]
    begun = [run["id"] for run in runs if run["labels"].get("headrace/schedule") == made["id"]]
    assert begun == [first["run"]]


async def brought_forward(system: System, schedule: str) -> datetime:
    """Its next time is now, in the store: minutes are the finest that cron knows."""
    file = f"sqlite:///{system.env['DATA_DIR']}/headrace.db"
    async with open_sql_store(system.env.get("DATABASE_URL", file)) as store, store.begin() as tx:
        kept = await tx.schedule(None, ScheduleId(schedule))
        assert kept is not None
        now = await tx.now()
        await tx.save_schedules([replace(kept, next_at=now)])
    return now


async def test_run_now_begins_a_run_and_a_paused_schedule_goes_on_when_it_is_resumed(
    user: User,
) -> None:
    asked = {"cron": "0 6 1 1 *", "run": {"pipeline": "chain", "input": {"text": "now"}}}
    made = (await user.http.post("/schedules", json=asked)).raise_for_status().json()
    at = f"/schedules/{made['id']}"

    paused = (await user.http.post(f"{at}/pause")).json()
    run = (await user.http.post(f"{at}/run-now")).raise_for_status().json()
    resumed = (await user.http.post(f"{at}/resume")).json()

    assert paused["paused_at"] is not None
    assert await ends(user, run["id"]) == "succeeded"
    assert resumed["next_at"] == made["next_at"]


async def ends(user: User, run: str) -> str:
    async def over() -> str:
        found = (await user.http.get(f"/runs/{run}")).json()
        return "" if found["finished_at"] is None else str(found["state"])

    return await eventually(over, within=30, every=0.2)
