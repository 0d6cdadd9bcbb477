"""A pipeline of real models through the whole system: drawn, enlarged and read again, as one run."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
from httpx_sse import aconnect_sse
from PIL import Image

from headrace.testkit.client import User
from headrace.testkit.system import Mode, System, running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    settings = {"ENGINES": "emoji-flow,realesrgan,emoji-reader", "LEASE_S": "30"}
    async with running(mode, tmp_path_factory.mktemp(mode), kinds=3, **settings) as system:
        yield system


async def test_a_picture_is_drawn_enlarged_and_read_as_one_run(user: User) -> None:
    asked = {"pipeline": "illustrate", "input": {"prompt": "a cat", "seed": 7, "steps": 16}}
    run = (await user.http.post("/runs", json=asked)).raise_for_status().json()

    seen = await watched(user, run["id"])
    after = (await user.http.get(f"/runs/{run['id']}")).json()

    image, refined, caption = [stage["pieces"][0]["output"] for stage in after["stages"]]
    assert (after["state"], after["progress"]) == ("succeeded", 1.0)
    small, large = await picture(user, image), await picture(user, refined)
    assert large.size == (small.width * 2, small.height * 2)
    assert "cat" in caption["caption"]
    ends = [it["stage"] for it in seen if it["frame"]["type"] == "succeeded"]
    assert ends == ["image", "refine", "caption"]
    assert {it["stage"] for it in seen if it["frame"]["type"] == "progress"} == {
        "image",
        "refine",
        "caption",
    }
    traces = {(await user.get(job_of(stage)))["trace_id"] for stage in after["stages"]}
    assert traces == {after["trace_id"]}


async def test_work_is_added_to_a_run_that_is_over(user: User) -> None:
    asked = {"pipeline": "illustrate", "input": {"prompt": "pizza", "seed": 1, "steps": 8}}
    run = (await user.http.post("/runs", json=asked)).raise_for_status().json()
    await watched(user, run["id"])

    body = {"stage": "image", "model": "realesr-animevideov3-x4"}
    added = await user.http.post(f"/runs/{run['id']}/refinements", json=body)
    assert added.status_code == 202, added.text
    await watched(user, run["id"])
    after = (await user.http.get(f"/runs/{run['id']}")).json()

    stage = after["stages"][-1]
    assert (stage["name"], stage["state"]) == ("refine-2", "succeeded")
    assert (await picture(user, stage["pieces"][0]["output"])).size == (256, 256)


async def watched(user: User, run: str) -> list[dict[str, Any]]:
    """The frames of its jobs, to its end."""
    async with (
        asyncio.timeout(180),
        aconnect_sse(user.http, "GET", f"/runs/{run}/events", timeout=60) as source,
    ):
        return [
            json.loads(event.data) async for event in source.aiter_sse() if event.event != "run"
        ]


async def picture(user: User, output: dict[str, Any]) -> Image.Image:
    answer = await user.http.get(f"/blobs/{output['image']['blob']}")
    return Image.open(io.BytesIO(answer.raise_for_status().content))


def job_of(stage: dict[str, Any]) -> dict[str, str]:
    return {"id": stage["pieces"][0]["job"]}
