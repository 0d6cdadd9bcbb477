"""Models on workers as users and operators see them: warm and cold, and where a job goes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace.testkit.client import User
from headrace.testkit.hoarding import LOAD_S, MIB, MODULE, PRELOAD
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.timeout(180)]

ADMIN = "key-of-admin"
HOARD: dict[str, Any] = {"ADMIN_KEY": ADMIN, "ALLOW_ANONYMOUS": "true", MIB: "8", LOAD_S: "1"}


def using(system: System) -> User:
    return User(httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20))


async def workers(user: User) -> list[dict[str, Any]]:
    answer = await user.http.get("/admin/workers", headers={"apikey": ADMIN})
    assert answer.is_success, answer.text
    found: list[dict[str, Any]] = answer.json()["workers"]
    return found


async def ran(user: User, model: str) -> dict[str, Any]:
    """The only attempt at a job of this model."""
    job = await user.submit("hoard", model=model, input={})
    await user.watch(job)
    (attempt,) = (await user.get(job, "/timeline"))["attempts"]
    assert attempt["outcome"] == "succeeded", attempt
    return dict(attempt)


async def loaded(user: User) -> dict[str, list[str]]:
    told = await workers(user)
    return {each["id"]: [m["model"] for m in each["models"] or ()] for each in told}


@pytest.fixture
async def system(mode: Mode, tmp_path: Path) -> AsyncGenerator[System]:
    async with running(
        mode, tmp_path, module=MODULE, MODEL_MEMORY_MIB="hoard=20", **HOARD
    ) as system:
        yield system


async def test_a_job_is_quick_where_its_model_is_warm_and_a_swap_is_seen(system: System) -> None:
    user = using(system)
    async with user.http:
        cold, warm = [(await ran(user, "one"))["stages"] for _ in range(2)]
        assert (cold["cold"], warm["cold"]) == (True, False)
        assert cold["load_s"] > 1 > warm["load_s"]

        await ran(user, "two")
        await ran(user, "three")  # 20 MiB hold two of 8

        await eventually(lambda: _so(user, ["three", "two"]), within=10)
        (worker,) = await workers(user)
        assert all(each["load_s"] >= 1 for each in worker["models"])
        assert all(each["memory_bytes"] > 4 << 20 for each in worker["models"])
        assert (await ran(user, "one"))["stages"]["cold"]


async def _so(user: User, models: list[str]) -> bool:
    return list((await loaded(user)).values()) == [models]


async def test_each_of_two_workers_gets_the_jobs_of_its_model(tmp_path: Path) -> None:
    async with running("EDA", tmp_path, module=MODULE, **HOARD | {PRELOAD: "one"}) as system:
        await system.start("gpu-worker@2", **{PRELOAD: "two"})
        user = using(system)
        async with user.http:

            async def both() -> bool:
                return sorted((await loaded(user)).values()) == [["one"], ["two"]]

            await eventually(both, within=30)
            home = {models[0]: worker for worker, models in (await loaded(user)).items()}

            attempts = [(model, await ran(user, model)) for model in ("one", "two") * 6]

    assert [attempt["worker"] for model, attempt in attempts] == [home[m] for m, _ in attempts]
    assert not any(attempt["stages"]["cold"] for _, attempt in attempts)
