"""A video from the horde's door: pieces that play while it is drawn, then one file; and a person sees it on the page."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator
from typing import Any

import av
import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect

from headrace.testkit.browser import a_browser, shown
from headrace.testkit.remote_worker import API
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
]
ANYBODY = {"apikey": "0000000000"}
PARAMS = {"length": 12, "fps": 6, "steps": 4, "width": 128, "height": 128, "seed": "1"}
ASKED = {"prompt": "a red heart", "models": ["emoji-motion"], "params": PARAMS}
PLAYS = "video => video.readyState >= 2 && video.videoWidth === 128 && video.error === null"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    settings: dict[str, Any] = {"ENGINES": "emoji-motion", "LEASE_S": "10"}
    async with running(mode, tmp_path_factory.mktemp(f"video-{mode}"), **settings) as system:
        yield system


@pytest_asyncio.fixture(loop_scope="module")
async def http(studio: System) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=studio.url, trust_env=False, timeout=60) as http:
        yield http


async def ask(http: httpx.AsyncClient, **params: Any) -> str:
    body = {**ASKED, "params": {**PARAMS, **params}}
    answer = await http.post(f"{API}/generate/video/async", json=body, headers=ANYBODY)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def status_of(http: httpx.AsyncClient, request: str) -> Any:
    async def done() -> Any:
        status = (await http.get(f"{API}/generate/video/status/{request}")).json()
        return status if status["done"] else None

    return await eventually(done, within=60, every=0.2)


async def frames_of(http: httpx.AsyncClient, request: str) -> list[str]:
    """Types of its events, in order."""
    async with http.stream("GET", f"{API}/generate/{request}/stream") as stream:
        return [
            line.partition(": ")[2]
            async for line in stream.aiter_lines()
            if line.startswith("event")
        ]


async def test_a_requester_sees_pieces_and_then_has_the_file(http: httpx.AsyncClient) -> None:
    request = await ask(http)

    said = await frames_of(http, request)
    status = await status_of(http, request)

    assert said.count("segment") == 2
    assert said.index("segment") < len(said) - 1 - said[::-1].index("progress")
    (made,) = status["generations"]
    video = await http.get(made["video"])
    assert video.headers["content-type"] == "video/webm"
    with av.open(io.BytesIO(video.content), "r") as file:
        frames = list(file.decode(video=0))
        assert file.duration == pytest.approx(2_000_000, abs=2_000)
    assert [(frame.width, frame.height) for frame in frames] == [(128, 128)] * 12


async def test_its_requester_ends_it_between_two_pictures(http: httpx.AsyncClient) -> None:
    request = await ask(http, length=240, steps=50)
    async with http.stream("GET", f"{API}/generate/{request}/stream") as stream:
        async for line in stream.aiter_lines():
            if line == "event: progress":
                break

    await http.delete(f"{API}/generate/video/status/{request}")

    assert (await frames_of(http, request))[-1] == "cancelled"
    assert (await status_of(http, request))["generations"] == []


async def test_a_person_watches_it_in_a_browser(studio: System, http: httpx.AsyncClient) -> None:
    given = {"prompt": "a red heart", "frames": 36, "fps": 6, "steps": 12, "seed": 1}
    job = (await http.post("/jobs", json={"kind": "video", "input": given})).json()["id"]
    async with a_browser() as browser:
        seen = await shown(browser, f"{studio.url}/jobs/{job}")
        piece = seen.page.get_by_label("The latest piece of")
        await expect(piece).to_be_visible(timeout=30_000)
        await expect(seen.page.locator("#main").get_by_text("Done").first).to_be_visible(
            timeout=60_000
        )
        whole = seen.page.locator("video[controls]")
        await expect(whole).to_have_count(1)

        async def plays() -> bool:
            return bool(await whole.evaluate(PLAYS))

        await eventually(plays, within=10)
        length_s = await whole.evaluate("video => video.duration")
        await seen.page.screenshot(path=str(studio.folder / "video.png"))

    assert length_s == pytest.approx(6.0, abs=0.1)
    assert seen.complaints == []
