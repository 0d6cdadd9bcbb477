"""Jobs, runs and batches deleted in a real browser: what goes is said before, and the receipt is shown after."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from headrace.testkit.browser import a_browser, barriers, close_pages, shown
from headrace.testkit.client import User
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(400),  # the first test may have to install the browser
]
expect.set_options(timeout=20_000)  # a machine that runs every test at once may take its time
CHAIN = "headrace.testkit.runs_at_the_door:CHAIN"
JSONL = {"Content-Type": "application/jsonl"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    folder = tmp_path_factory.mktemp(mode)
    async with running(mode, folder, SLOTS="echo=2", PIPELINES=CHAIN) as system:
        yield system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncGenerator[Browser]:
    async with a_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def browser(chromium: Browser) -> AsyncGenerator[Browser]:
    yield chromium
    await close_pages(chromium)


async def over(user: User, at: str) -> Any:
    """A run or a batch, once it is."""
    found: list[Any] = []

    async def is_over() -> bool:
        found[:] = [(await user.http.get(at)).json()]
        return bool(found[0]["finished_at"])

    await eventually(is_over, within=60, every=0.2)
    return found[0]


async def test_a_job_is_deleted_after_it_was_said_what_goes_and_its_receipt_is_shown(
    system: System, browser: Browser, user: User
) -> None:
    job = await user.echo("to be deleted")
    await user.watch(job)
    seen = await shown(browser, f"{system.url}/jobs/{job['id']}")
    page, dialog = seen.page, seen.page.get_by_role("dialog")
    delete = page.get_by_role("button", name="Delete")

    await delete.focus()
    await page.keyboard.press("Enter")
    for each in ("its input and its result", "its frames", "every blob", "cannot be brought back"):
        await expect(dialog).to_contain_text(each)
    assert await barriers(page) == []
    await page.keyboard.press("Escape")  # nothing is done by looking
    await expect(delete).to_be_focused()
    assert (await user.get(job))["state"] == "succeeded"
    await page.keyboard.press("Enter")
    await dialog.get_by_role("button", name="Delete the job").focus()
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", name="Deleted")).to_be_focused()
    receipt = page.get_by_role("region", name="Receipt")
    await expect(receipt).to_contain_text(job["id"])
    await expect(receipt).to_contain_text("Jobs")
    await expect(receipt).to_contain_text("Streams")
    assert (await user.http.get(f"/jobs/{job['id']}")).status_code == 404
    await expect(page.get_by_role("link", name="to be deleted")).to_have_count(0)
    assert await barriers(page) == []
    assert seen.complaints == []
    await page.reload()
    await expect(page.get_by_text("it was deleted")).to_be_visible()


async def test_a_job_that_runs_is_cancelled_first_and_goes_once_it_has_stopped(
    system: System, browser: Browser, user: User
) -> None:
    job = await user.submit(input={"text": "word", "repeat": 600, "delay_s": 0.1})
    seen = await shown(browser, f"{system.url}/jobs/{job['id']}", phone=True, dark=True)
    page, dialog = seen.page, seen.page.get_by_role("dialog")

    await page.get_by_role("button", name="Delete").click()
    await expect(dialog).to_contain_text("cancelled first")
    assert await barriers(page) == []
    await dialog.get_by_role("button", name="Cancel and delete the job").click()

    await expect(page.get_by_role("heading", name="Deleted")).to_be_visible()
    await expect(page.get_by_text("Nothing of the job is left")).to_be_visible()
    assert (await user.http.get(f"/jobs/{job['id']}")).status_code == 404
    assert await barriers(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_a_run_goes_with_its_jobs_and_none_of_them_alone(
    system: System, browser: Browser, user: User
) -> None:
    asked = {"pipeline": "chain", "input": {"text": "one of a run"}}
    run = (await user.http.post("/runs", json=asked)).raise_for_status().json()
    run = await over(user, f"/runs/{run['id']}")
    job = run["stages"][0]["pieces"][0]["job"]
    seen = await shown(browser, f"{system.url}/jobs/{job}")
    page, dialog = seen.page, seen.page.get_by_role("dialog")

    await page.get_by_role("button", name="Delete").click()
    await dialog.get_by_role("button", name="Delete the job").click()
    await expect(dialog).to_contain_text("It does not go alone")
    assert (await user.http.get(f"/jobs/{job}")).status_code == 200
    await dialog.get_by_role("link", name="Open the run").click()
    await page.get_by_role("button", name="Delete").click()
    await expect(dialog).to_contain_text("every job that it made")
    await dialog.get_by_role("button", name="Delete the run").click()

    await expect(page.get_by_role("region", name="Receipt")).to_contain_text(run["id"])
    await expect(page.get_by_role("heading", name="Deleted")).to_be_visible()
    for at in (f"/jobs/{job}", f"/runs/{run['id']}"):
        assert (await user.http.get(at)).status_code == 404
    assert await barriers(page) == []


async def test_a_batch_goes_with_its_items_and_is_followed_until_nothing_is_left(
    system: System, browser: Browser, user: User
) -> None:
    content = "\n".join(json.dumps({"input": {"text": f"item {n}"}}) for n in range(130))
    handed_in = await user.http.post(
        "/batches", params={"kind": "echo"}, content=content, headers=JSONL
    )
    batch = handed_in.raise_for_status().json()
    await over(user, f"/batches/{batch['id']}")
    seen = await shown(browser, f"{system.url}/batches/{batch['id']}", dark=True)
    page, dialog = seen.page, seen.page.get_by_role("dialog")

    await page.get_by_role("button", name="Delete").click()
    await expect(dialog).to_contain_text("its items, its counts, and the file")
    assert await barriers(page) == []
    await dialog.get_by_role("button", name="Delete the batch").click()

    await expect(page.get_by_role("heading", name="Deleted")).to_be_visible(timeout=60_000)
    receipt = page.get_by_role("region", name="Receipt")
    await expect(receipt.get_by_text("130 removed").first).to_be_visible()
    assert (await user.http.get(f"/batches/{batch['id']}")).status_code == 404
    assert await barriers(page) == []
