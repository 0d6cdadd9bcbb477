"""The pages of registered models in a real browser: versions, the route and its changes, how two compare, how they learnt."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from itertools import count
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from headrace.engines.digits.data import SHADES, split
from headrace.testkit.browser import a_browser, barriers, close_pages, shown
from headrace.testkit.client import User
from headrace.testkit.system import Mode, System, running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(400),
]
expect.set_options(timeout=20_000)
NUMBERS: Final = count(1)  # a second try begins with a model of its own


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    settings = {"ENGINES": "sklearn-train,sklearn-serve"}
    async with running(mode, tmp_path_factory.mktemp(mode), kinds=1, **settings) as system:
        yield system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncGenerator[Browser]:
    async with a_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def browser(chromium: Browser) -> AsyncGenerator[Browser]:
    yield chromium
    await close_pages(chromium)


async def trained(user: User, name: str, epochs: int) -> Any:
    asked = {"input": {"epochs": epochs, "hidden": [16], "seed": epochs}, "register_as": name}
    job = (await user.http.post("/jobs/training", json=asked)).raise_for_status().json()
    assert (await user.watch(job))[-1].type == "succeeded"
    return job


async def two_versions(user: User) -> tuple[str, list[Any]]:
    """A model whose jobs go 90 to 10, and the trainings that made it."""
    name = f"digits-{next(NUMBERS)}"
    jobs = [await trained(user, name, epochs) for epochs in (4, 7)]
    route = {"weights": {"1": 90, "2": 10}}
    (await user.http.post(f"/models/{name}/route", json=route)).raise_for_status()
    return name, jobs


async def test_a_model_is_found_promoted_and_rolled_back(
    system: System, browser: Browser, user: User
) -> None:
    name, _ = await two_versions(user)
    seen = await shown(browser, f"{system.url}/models")
    await seen.page.get_by_role("link", name=name, exact=True).click()
    page = seen.page
    bar = page.get_by_role("region", name="Route").get_by_role("img")
    await expect(bar).to_have_accessible_name("Jobs go: version 1 90 %, version 2 10 %")
    assert await barriers(page) == []

    await page.get_by_role("button", name="Promote version 2").click()
    await expect(page.get_by_text("Then: all to version 2.")).to_be_visible()
    assert await barriers(page) == []
    await page.keyboard.press("Escape")  # nothing is done by looking
    assert (await model(user, name))["route"]["how"] == "routed"

    await page.get_by_role("button", name="Promote version 2").click()
    await page.get_by_role("button", name="Give it all jobs").click()
    await expect(bar).to_have_accessible_name("Jobs go: all to version 2")
    assert (await model(user, name))["route"]["weights"] == {"2": 1.0}

    await page.get_by_role("button", name="Roll back").click()
    await expect(page.get_by_text("as route 2 had it")).to_be_visible()
    await page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    await expect(bar).to_have_accessible_name("Jobs go: version 1 90 %, version 2 10 %")
    assert (await model(user, name))["route"]["how"] == "rolled_back"
    await page.get_by_text("History").click()
    await expect(page.get_by_text("Rolled back to route 2: version 1 90 %")).to_be_visible()
    assert await barriers(page) == []
    assert seen.complaints == []


async def test_weights_are_set_unless_somebody_was_faster(
    system: System, browser: Browser, user: User
) -> None:
    name, _ = await two_versions(user)
    seen = await shown(browser, f"{system.url}/models/{name}", phone=True, dark=True)
    page = seen.page
    dialog = page.get_by_role("dialog")
    await page.get_by_role("button", name="Set weights").click()
    await dialog.get_by_role("textbox", name="Version 2").fill("0")
    await dialog.get_by_role("textbox", name="Version 1").fill("0")
    await expect(dialog.get_by_text("One version at least")).to_be_visible()
    await dialog.get_by_role("textbox", name="Version 2").fill("3")
    await dialog.get_by_role("textbox", name="Version 1").fill("1")
    await user.http.post(f"/models/{name}/promote", json={"version": 1})

    await dialog.get_by_role("button", name="Set this route").click()
    await expect(dialog.get_by_role("alert")).not_to_be_empty()
    assert (await model(user, name))["route"]["shares"] == {"1": 100.0}

    await dialog.get_by_role("button", name="Not now").click()
    await expect(page.get_by_text("all to version 1").first).to_be_attached()
    await expect(page.get_by_text("Promoted by")).to_be_visible()
    await page.get_by_role("button", name="Set weights").click()
    await dialog.get_by_role("textbox", name="Version 2").fill("3")
    await dialog.get_by_role("button", name="Set this route").click()
    await expect(page.get_by_text("The next job follows the new route")).to_be_visible()
    assert (await model(user, name))["route"]["shares"] == {"1": 25.0, "2": 75.0}
    assert await barriers(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_a_version_is_retired_once_neither_the_route_nor_a_roll_back_names_it(
    system: System, browser: Browser, user: User
) -> None:
    name, _ = await two_versions(user)
    seen = await shown(browser, f"{system.url}/models/{name}")
    page, dialog = seen.page, seen.page.get_by_role("dialog")
    retire = page.get_by_role("button", name="Retire version 1")

    await retire.click()
    await expect(dialog).to_contain_text("Jobs are sent to it")
    await dialog.get_by_role("button", name="Close").click()
    await user.http.post(f"/models/{name}/promote", json={"version": 2})
    await expect(page.get_by_role("region", name="Route")).to_contain_text("Promoted")
    await retire.click()
    await expect(dialog).to_contain_text("A roll back would go to it")
    assert await barriers(page) == []
    await page.keyboard.press("Escape")
    await user.http.post(f"/models/{name}/route", json={"weights": {"2": 5}})
    await expect(page.get_by_role("region", name="Route")).to_contain_text("Weights set")
    await retire.click()
    await expect(dialog).to_contain_text("cannot be undone")
    await dialog.get_by_role("button", name="Retire it for ever").click()

    await expect(page.get_by_text("Version 1 is retired.")).to_be_visible()
    await expect(page.get_by_text("retired", exact=True)).to_be_visible()
    await expect(retire).to_have_count(0)
    versions = (await user.http.get(f"/models/{name}/versions")).json()["versions"]
    assert [each["retired_at"] is not None for each in versions] == [False, True]
    assert await barriers(page) == []


async def test_two_versions_are_compared_by_the_jobs_that_they_had(
    system: System, browser: Browser, user: User
) -> None:
    name, _ = await two_versions(user)
    rows = (split(0.2, 3).held_out[:2] * SHADES).round().tolist()
    for nth in range(4):
        asked = {"kind": "inference", "model": f"{name}@{nth % 2 + 1}", "input": {"rows": rows}}
        job = (await user.http.post("/jobs", json=asked)).raise_for_status().json()
        assert (await user.watch(job))[-1].type == "succeeded"
        await user.http.post(f"/jobs/{job['id']}/feedback", json={"name": "rating", "value": nth})
    seen = await shown(browser, f"{system.url}/models/{name}")
    region = seen.page.get_by_role("region", name="Two versions compared")

    await expect(region.get_by_text("2 jobs: 2 done, 0 failed, 0 cancelled")).to_have_count(2)
    await expect(region.get_by_text("Failure rate: too few")).to_be_visible()
    await region.get_by_label("Metric, if you like").fill("rating")
    await region.get_by_role("button", name="Compare").click()

    await expect(region.get_by_text("1 (of 2)")).to_be_visible()
    await expect(region.get_by_text("2 (of 2)")).to_be_visible()
    await expect(region.get_by_text("Rating: fewer than 30 values")).to_be_visible()
    assert await barriers(seen.page) == []
    assert seen.complaints == []


async def test_curves_stand_side_by_side_until_their_log_is_gone(
    system: System, browser: Browser, user: User
) -> None:
    name, jobs = await two_versions(user)
    seen = await shown(browser, f"{system.url}/models/{name}")
    region = seen.page.get_by_role("region", name="How they learnt")

    await expect(region.get_by_role("slider")).to_have_count(3)
    loss = region.get_by_role("slider", name="Loss, step", exact=True)
    await loss.focus()
    await seen.page.keyboard.press("Home")
    both = r"step 1: version 2 \d\.\d+, version 1 \d\.\d+"
    await expect(loss).to_have_attribute("aria-valuetext", re.compile(both))
    await seen.page.keyboard.press("End")
    alone = re.compile("step 7: version 2 [0-9.]+, version 1 \N{EN DASH}")
    await expect(loss).to_have_attribute("aria-valuetext", alone)
    assert await barriers(seen.page) == []

    (await user.http.delete(f"/jobs/{jobs[0]['id']}")).raise_for_status()
    await seen.page.reload()
    await expect(region.get_by_text("no longer kept, or not yours to see")).to_be_visible()
    await expect(region.get_by_text(re.compile(r"Val accuracy 0\.\d+"))).to_be_visible()
    await expect(loss).to_have_attribute("aria-valuetext", re.compile(r"at the end: version 2"))


async def test_a_key_that_may_only_look_is_told_why(
    system: System, browser: Browser, user: User
) -> None:
    name, _ = await two_versions(user)
    seen = await shown(browser, f"{system.url}/models")
    who = {**(await user.http.get("/admin/whoami")).json(), "scopes": ["read"]}
    await seen.page.route("**/admin/whoami", lambda asked: asked.fulfill(json=who))
    await seen.page.goto(f"{system.url}/models/{name}")

    await expect(seen.page.get_by_text("lacks the scope “models”")).to_be_visible()
    for change in ("Promote version 2", "Retire version 2", "Set weights", "Roll back"):
        await expect(seen.page.get_by_role("button", name=change)).to_be_disabled()
    assert await barriers(seen.page) == []


async def test_a_model_that_is_not_there_is_said_not_to_be(
    system: System, browser: Browser, user: User
) -> None:
    seen = await shown(browser, f"{system.url}/models/nobodys")

    await expect(seen.page.get_by_role("alert")).to_contain_text("nobodys")
    await expect(seen.page.get_by_role("button", name="Try again")).to_be_visible()
    assert await barriers(seen.page) == []


async def model(user: User, name: str) -> Any:
    return (await user.http.get(f"/models/{name}")).raise_for_status().json()
