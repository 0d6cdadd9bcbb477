"""Schedules in the operators' console, in a real browser: made, run, paused and deleted."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect

from headrace.core.usecases.schedules import LABEL
from headrace.testkit.browser import Shown, a_browser, shown
from headrace.testkit.client import User
from headrace.testkit.system import Mode, System, running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(400),  # the first test may have to install the browser
]
expect.set_options(timeout=20_000)  # a machine that runs every test at once may take its time
ADMIN = "the-operators-key"
CHAIN = "headrace.testkit.runs_at_the_door:CHAIN"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    folder = tmp_path_factory.mktemp(mode)
    async with running(mode, folder, ADMIN_KEY=ADMIN, PIPELINES=CHAIN) as system:
        yield system


@pytest_asyncio.fixture(loop_scope="module")
async def seen(system: System) -> AsyncGenerator[Shown]:
    """Its page of schedules, with an operator signed in."""
    async with a_browser() as browser:
        seen = await shown(browser, f"{system.url}/ops/schedules")
        await seen.page.get_by_role("textbox", name="Key").fill(ADMIN)
        await seen.page.get_by_role("button", name="Sign in").click()
        await expect(seen.page.get_by_role("dialog")).to_have_count(0)
        yield seen


async def test_a_schedule_of_runs_is_made_run_paused_and_deleted(
    system: System, seen: Shown, user: User
) -> None:
    page = seen.page
    await expect(page.get_by_text("Nothing recurs yet")).to_be_visible()

    await page.get_by_role("button", name="New schedule").click()
    form = page.get_by_role("dialog")
    await form.get_by_label("Tenant").fill("local")
    await form.get_by_label("Cron").fill("0 6 1 1 *")
    await form.get_by_label("Time zone").fill("Europe/Berlin")
    await form.get_by_label("a run of a pipeline").check()
    await form.get_by_label("Pipeline", exact=True).fill("chain")
    await form.get_by_label("Input, as JSON").fill("{}")
    await form.get_by_role("button", name="Make it").click()
    await expect(form.get_by_role("alert")).to_contain_text("text")
    await expect(form.get_by_label("Input, as JSON")).to_have_attribute("aria-invalid", "true")
    await form.get_by_label("Input, as JSON").fill('{"text": "yearly"}')
    await form.get_by_role("button", name="Make it").click()

    row = page.locator("tr", has_text="run of chain")
    await expect(row).to_contain_text("Europe/Berlin")
    await expect(row).to_contain_text("not yet")
    await row.get_by_role("button", name="Run now: run of chain").click()
    await page.get_by_role("button", name="Run it now").click()
    await expect(row).to_contain_text("just now")
    run = (await user.http.get("/runs")).json()["runs"][0]
    await row.get_by_role("button", name="Pause run of chain").click()
    await page.get_by_role("button", name="Pause it").click()
    await expect(row).to_contain_text("paused")
    await page.get_by_role("link", name="run of chain").click()
    await expect(page.get_by_role("region", name="Its latest times")).to_contain_text(run["id"])
    await page.get_by_role("button", name="Delete run of chain").click()
    await page.get_by_role("dialog").get_by_role("button", name="Not now").click()
    await page.get_by_role("button", name="Delete run of chain").click()
    await page.get_by_role("button", name="Delete it").click()

    await expect(page.get_by_text("Nothing recurs yet")).to_be_visible()
    async with httpx.AsyncClient(base_url=system.url, headers={"apikey": ADMIN}) as admin:
        audit = (await admin.get("/admin/audit")).json()["audit"]
    deeds = [each["action"] for each in audit if each["subject"] == run["labels"][LABEL]]
    assert deeds == [f"schedule.{verb}" for verb in ("delete", "pause", "run-now", "create")]
