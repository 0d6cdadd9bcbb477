"""The page in a real browser: what a person sees of a job, also after a reload in its middle."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from headrace.testkit.browser import Shown, a_browser, barriers, close_pages, shown
from headrace.testkit.client import User
from headrace.testkit.system import System
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(400),  # the first test may have to install the browser
]
expect.set_options(timeout=20_000)  # a machine that runs every test at once may take its time
TOLD = " ".join(["tick tock"] * 20)  # what the job below says; its heading says it once


def read(seen: Shown) -> Locator:
    """What is read, apart from the list beside it."""
    return seen.page.locator("#main")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncGenerator[Browser]:
    async with a_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def browser(chromium: Browser) -> AsyncGenerator[Browser]:
    yield chromium
    await close_pages(chromium)


async def test_a_person_asks_and_watches_the_answer_come(system: System, browser: Browser) -> None:
    seen = await shown(browser, system.url)
    await seen.page.get_by_label("Text").fill("hello from a browser")

    await seen.page.get_by_role("button", name="Run").click()

    await expect(read(seen).get_by_text("Done").first).to_be_visible()
    await expect(seen.page.get_by_role("heading", name="hello from a browser")).to_be_visible()
    assert seen.complaints == []


async def test_a_reload_in_the_middle_of_a_job_loses_and_repeats_nothing(
    system: System, browser: Browser, user: User
) -> None:
    job = await user.echo("tick tock", repeat=20, delay_s=0.1)
    seen = await shown(browser, f"{system.url}/jobs/{job['id']}")
    await expect(seen.page.get_by_text("tick tock tick")).to_be_visible()

    await seen.page.reload()

    await expect(read(seen).get_by_text("Done").first).to_be_visible()
    await expect(seen.page.get_by_text(TOLD, exact=True)).to_be_visible()
    assert seen.complaints == []


async def test_a_failed_job_says_why(system: System, browser: Browser, user: User) -> None:
    job = await user.echo("one two", fail="input")

    seen = await shown(browser, f"{system.url}/jobs/{job['id']}")

    await expect(read(seen).get_by_text("Failed").first).to_be_visible()
    await expect(read(seen).get_by_text("is refused, as asked").first).to_be_visible()


async def test_what_is_said_while_the_network_is_away_comes_when_it_is_back(
    system: System, browser: Browser, user: User
) -> None:
    job = await user.echo("tick tock", repeat=20, delay_s=0.1)
    seen = await shown(browser, f"{system.url}/jobs/{job['id']}")
    await expect(seen.page.get_by_text("tick tock tick")).to_be_visible()

    await seen.page.context.set_offline(True)
    await expect(seen.page.get_by_text("No network").last).to_be_visible()
    await user.watch(job)  # to its end, which the page cannot see
    await seen.page.context.set_offline(False)

    await expect(read(seen).get_by_text("Done").first).to_be_visible()
    await expect(seen.page.get_by_text(TOLD, exact=True)).to_be_visible()
    await expect(seen.page.get_by_text("No network")).to_have_count(0)


async def test_two_tabs_show_the_same_and_what_one_does_the_other_sees(
    system: System, browser: Browser, user: User
) -> None:
    job = await user.echo("word", repeat=500, delay_s=0.05)
    address = f"{system.url}/jobs/{job['id']}"
    one, other = await shown(browser, address), await shown(browser, address)
    await expect(other.page.get_by_text("word word word")).to_be_visible()

    await one.page.get_by_role("button", name="Cancel").click()

    for tab in (one, other):
        await expect(read(tab).get_by_text("Cancelled").first).to_be_visible()
    said = [await tab.page.get_by_role("region", name="Text").inner_text() for tab in (one, other)]
    assert said[0] == said[1]
    assert one.complaints == other.complaints == []


async def test_a_failed_job_is_retried_as_a_new_one_and_the_back_button_returns(
    system: System, browser: Browser, user: User
) -> None:
    job = await user.echo("one two", fail="input")
    seen = await shown(browser, f"{system.url}/jobs/{job['id']}")

    await seen.page.get_by_role("button", name="Retry").click()

    await expect(seen.page.get_by_text("A retry of")).to_be_visible()
    assert job["id"] not in seen.page.url
    await seen.page.go_back()
    assert job["id"] in seen.page.url
    await expect(seen.page.get_by_text("A retry of")).to_have_count(0)


async def test_a_waiting_job_says_why_and_how_many_are_ahead(
    system: System, browser: Browser, user: User
) -> None:
    jobs = [await user.echo("word", repeat=500, delay_s=0.05) for _ in range(9)]
    try:
        seen = await shown(browser, f"{system.url}/jobs/{jobs[-1]['id']}")

        await expect(seen.page.get_by_label("Why it waits")).to_contain_text("Busy slots")
        await expect(read(seen).get_by_text("ahead").first).to_be_visible()
        await expect(read(seen).get_by_text("waited").first).to_be_visible()
        assert seen.complaints == []
    finally:
        for job in jobs:
            await user.cancel(job)


async def test_the_keyboard_is_enough(system: System, browser: Browser) -> None:
    seen = await shown(browser, system.url)
    await expect(seen.page.get_by_label("Text", exact=True)).to_be_visible()
    press = seen.page.keyboard.press

    await press("Tab")
    await press("Enter")  # past the jobs, to the form
    await _tab_to(seen.page, "TEXTAREA")
    await seen.page.keyboard.type("by hand alone")
    await press("Control+Enter")
    await expect(read(seen).get_by_text("Done").first).to_be_visible()
    await _tab_to(seen.page, "BUTTON", "Edit")
    await press("Enter")
    await expect(seen.page.get_by_label("Text", exact=True)).to_have_value("by hand alone")

    await seen.page.locator("section.jobs a").first.focus()
    await press("ArrowDown")
    await press("ArrowUp")
    await press("Enter")

    await expect(seen.page.get_by_role("heading", name="by hand alone")).to_be_visible()
    assert seen.complaints == []


async def _tab_to(page: Page, tag: str, text: str = "") -> None:
    for _ in range(40):
        await page.keyboard.press("Tab")
        found = await page.evaluate(
            "[document.activeElement.tagName, document.activeElement.textContent]"
        )
        if found[0] == tag and text in found[1]:
            return
    raise AssertionError(f"no {tag} {text} within 40 Tabs")


async def test_dark_is_a_choice_that_stays(system: System, browser: Browser) -> None:
    seen = await shown(browser, system.url)
    paper = "getComputedStyle(document.body).backgroundColor"
    light = await seen.page.evaluate(paper)

    for _ in range(2):  # as the system says, light, dark
        await seen.page.get_by_role("button", name="Theme").click()
    await seen.page.reload()

    await expect(seen.page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert await seen.page.evaluate(paper) != light


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, True)])
async def test_nothing_bars_the_way_of_those_who_see_or_move_differently(
    system: System, browser: Browser, user: User, *, dark: bool, phone: bool
) -> None:
    job = await user.echo("one two", fail="input")
    await user.watch(job)
    seen = await shown(browser, f"{system.url}/jobs/{job['id']}", dark=dark, phone=phone)
    await expect(seen.page.get_by_text("Where the time went")).to_be_visible()
    await seen.page.get_by_text("Input, result and curl").click()

    on_a_job = await barriers(seen.page)
    await seen.page.get_by_role("link", name="New job").click()
    on_the_form = await barriers(seen.page)

    assert (on_a_job, on_the_form) == ([], [])


@pytest.mark.full
async def test_hundreds_of_jobs_are_listed_alive_without_a_stutter(
    system: System, browser: Browser, user: User
) -> None:
    jobs = [await user.echo(f"job number {number}", delay_s=0.02) for number in range(300)]
    seen = await shown(browser, system.url)
    rows = seen.page.locator("section.jobs li a")
    await expect(rows.first).to_be_visible()

    async def listed() -> bool:
        await seen.page.evaluate("document.querySelector('section.jobs').scrollTo(0, 1e6)")
        return await rows.count() >= len(jobs)

    await eventually(listed, within=60, every=0.3)
    await seen.page.evaluate("document.querySelector('section.jobs').scrollTo(0, 0)")
    before, began = await _scripting_s(seen.page), time.monotonic()
    await user.watch(jobs[-1])  # while the rows in sight come to their turn
    await expect(rows.first).to_contain_text("Done")
    share = (await _scripting_s(seen.page) - before) / (time.monotonic() - began)

    assert share < 0.2, f"scripts took {share:.0%} of the time"  # measured: under 2 %
    assert seen.complaints == []


async def _scripting_s(page: Page) -> float:
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    found = await session.send("Performance.getMetrics")
    return float({each["name"]: each["value"] for each in found["metrics"]}["ScriptDuration"])


async def test_a_running_job_is_cancelled_from_the_page(
    system: System, browser: Browser, user: User
) -> None:
    job = await user.echo("word", repeat=500, delay_s=0.05)
    seen = await shown(browser, f"{system.url}/jobs/{job['id']}")

    await seen.page.get_by_role("button", name="Cancel").click()

    await expect(read(seen).get_by_text("Cancelled").first).to_be_visible()
    assert (await user.watch(job))[-1].type == "cancelled"


async def test_a_phone_shows_it_all_without_scrolling_sideways(
    system: System, browser: Browser, user: User
) -> None:
    job = await user.echo("W" * 200)

    seen = await shown(browser, f"{system.url}/jobs/{job['id']}", phone=True, dark=True)

    await expect(read(seen).get_by_text("Done").first).to_be_visible()
    width = await seen.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
