"""docs/federated.md says the truth: sites that each know a few digits learn all of them, and only weights leave them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from headrace.engines.digits.federated import fresh, judge, part_of
from headrace.testkit.client import User
from headrace.testkit.packages import files_of, lay_out
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
]
PAGE = Path(__file__).parents[2] / "docs" / "federated.md"
LANES = ("site-north", "site-middle", "site-south")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    package = tmp_path_factory.mktemp("package")
    lay_out(package, files_of(PAGE))
    settings = {
        "ENGINES": ",".join([*LANES, "federated-average"]),
        "PYTHONPATH": str(package),
        "LEASE_S": "30",
    }
    async with running(mode, tmp_path_factory.mktemp(mode), kinds=4, **settings) as system:
        yield system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(system: System) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http:
        return await ran(http)


async def ran(http: httpx.AsyncClient) -> dict[str, Any]:
    asked = {"pipeline": "digits-rounds", "input": {}}

    begun = (await http.post("/runs", json=asked)).raise_for_status().json()

    async def over() -> dict[str, Any] | None:
        now: dict[str, Any] = (await http.get(f"/runs/{begun['id']}")).json()
        return now if now["state"] in {"succeeded", "failed", "cancelled"} else None

    ended = await eventually(over, within=180, every=0.5)
    assert ended is not None
    assert ended["state"] == "succeeded", ended
    return ended


async def test_together_they_learn_what_none_of_them_has(run: dict[str, Any]) -> None:
    means = [stage for stage in run["stages"] if stage["name"].startswith("mean-")]

    accuracies = [stage["pieces"][0]["output"]["accuracy"] for stage in means]

    assert len(accuracies) == 8
    assert judge(fresh()) < 0.15
    assert accuracies[0] > 0.5
    assert accuracies[-1] > 0.8  # who knows three or four digits of ten has half of that at best


async def test_each_sites_jobs_are_for_its_own_model_and_name_nothing_but_weights(
    run: dict[str, Any], user: User
) -> None:
    jobs = [
        await user.get({"id": piece["job"]})
        for stage in run["stages"]
        if stage["name"].startswith("learn-")
        for piece in stage["pieces"]
    ]

    assert len(jobs) == 24
    assert {name for job in jobs for name in job["input"]} == {"weights"}
    assert [job["model"] for job in jobs[:3]] == ["digits-north", "digits-middle", "digits-south"]


async def test_no_picture_of_any_site_is_in_anything_that_was_stored(
    run: dict[str, Any], system: System
) -> None:
    def found() -> int:
        kept = [file.read_bytes() for file in system.folder.rglob("*") if file.is_file()]
        pictures = [picture.tobytes() for site in range(3) for picture in part_of(site, 3)[0][::20]]
        assert sum(b"PK" in data for data in kept) > 24  # the weights are there
        return sum(picture in data for picture in pictures for data in kept)

    assert await asyncio.to_thread(found) == 0
