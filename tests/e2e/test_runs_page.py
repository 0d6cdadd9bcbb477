"""The page of a run in a real browser: its stages, what they show while they work, and what can be done about them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from headrace.testkit.browser import a_browser, barriers, close_pages, shown
from headrace.testkit.client import User
from headrace.testkit.system import System, running
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(400),
]
expect.set_options(timeout=60_000)  # three models, on a machine that does other things too
GALLERY = '''
"""A picture of each prompt, and one text over all of them."""
from headrace.core.pipeline import Fixed, Given, Item, Many, Of, Pipeline, Plain, Stage

PIPELINE = Pipeline(
    name="gallery",
    title="A picture of each prompt, and a word.",
    takes={"prompts": Many(Plain.TEXT)},
    stages=(
        Stage(
            name="draw",
            kind="image",
            each=Given("prompts"),
            input={"prompt": Item(), "steps": Fixed(12), "seed": Fixed(7)},
            gives={"image": Plain.BLOB},
        ),
        Stage(
            name="word",
            kind="echo",
            input={"text": Fixed("all are drawn"), "fail": Fixed("input")},
            gives={"text": Plain.TEXT},
        ),
    ),
)
'''


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "gallery.py").write_text(GALLERY)
    settings = {
        "ENGINES": "emoji-flow,realesrgan,emoji-reader,echo",
        "PYTHONPATH": str(folder),
        "PIPELINES": "gallery",
        "LEASE_S": "30",
    }
    async with running("MONOLITH", folder, kinds=4, **settings) as system:
        yield system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncGenerator[Browser]:
    async with a_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def browser(chromium: Browser) -> AsyncGenerator[Browser]:
    yield chromium
    await close_pages(chromium)


async def test_a_person_begins_a_run_and_sees_its_pictures_and_caption(
    system: System, browser: Browser
) -> None:
    seen = await shown(browser, f"{system.url}/runs")
    await seen.page.get_by_label("Pipeline").select_option("illustrate")
    await seen.page.get_by_label("prompt").fill("a cat")
    await seen.page.get_by_label("seed").fill("7")
    assert await barriers(seen.page) == []
    await seen.page.get_by_role("button", name="Begin").click()

    await expect(seen.page.get_by_alt_text("The picture of image", exact=True)).to_be_visible()
    await expect(seen.page.get_by_alt_text("The picture of refine", exact=True)).to_be_visible()
    await expect(seen.page.get_by_role("button", name="Caption")).to_be_visible()
    await expect(seen.page.locator(".said")).to_contain_text("cat")

    assert await barriers(seen.page) == []
    assert seen.complaints == []


async def test_work_is_added_from_the_page(system: System, browser: Browser, user: User) -> None:
    asked = {"pipeline": "illustrate", "input": {"prompt": "a cat", "seed": 7}}
    run = (await user.http.post("/runs", json=asked)).raise_for_status().json()

    async def is_over() -> bool:
        now = (await user.http.get(f"/runs/{run['id']}")).json()
        return bool(now["state"] == "succeeded")

    await eventually(is_over, within=60, every=0.2)
    seen = await shown(browser, f"{system.url}/runs/{run['id']}", phone=True, dark=True)

    await seen.page.get_by_role("button", name="Refine").click()

    await expect(seen.page.get_by_alt_text("The picture of refine-2")).to_be_visible()
    assert await barriers(seen.page) == []
    width = await seen.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390  # of the phone: nothing is pushed off it


async def test_a_fan_out_and_a_stage_that_failed_are_shown_and_it_is_retried(
    system: System, browser: Browser, user: User
) -> None:
    asked: dict[str, Any] = {
        "pipeline": "gallery",
        "input": {"prompts": ["a cat", "pizza", "a rose"]},
    }
    run = (await user.http.post("/runs", json=asked)).raise_for_status().json()
    seen = await shown(browser, f"{system.url}/runs/{run['id']}")

    await expect(seen.page.get_by_text("is refused, as asked").first).to_be_visible()
    assert await barriers(seen.page) == []
    await seen.page.get_by_role("region", name="word").get_by_role("button").click()

    await expect(seen.page.get_by_role("region", name="word").get_by_text("try 2")).to_be_visible()
    word = (await user.http.get(f"/runs/{run['id']}")).json()["stages"][1]
    assert word["pieces"][0]["tries"] == 2  # the one just asked for
