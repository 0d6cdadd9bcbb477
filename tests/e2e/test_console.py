"""The operators' console in a real browser, on the real system: what is seen, and what is done there."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from secrets import token_hex

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, expect

from headrace.testkit.browser import Shown, a_browser, barriers, close_pages, shown
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
ADMIN = "the-operators-key"
PAGES = ["jobs", "dead-letters", "queues", "workers", "schedules", "tenants", "models", "webhooks"]
PAGES += ["rollout", "audit"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    folder = tmp_path_factory.mktemp(mode)
    async with running(mode, folder, SLOTS="echo=2", ADMIN_KEY=ADMIN, RETRY_FAILURES="1") as system:
        yield system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncGenerator[Browser]:
    async with a_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def browser(chromium: Browser) -> AsyncGenerator[Browser]:
    yield chromium
    await close_pages(chromium)


@pytest_asyncio.fixture(loop_scope="module")
async def admin(system: System) -> AsyncGenerator[httpx.AsyncClient]:
    headers = {"apikey": ADMIN, "X-Operator": "the test"}
    async with httpx.AsyncClient(
        base_url=f"{system.url}/admin", headers=headers, trust_env=False, timeout=20
    ) as http:
        yield http


async def signed_in(
    browser: Browser,
    system: System,
    page: str = "",
    *,
    key: str = ADMIN,
    phone: bool = False,
    dark: bool = False,
) -> Shown:
    seen = await shown(browser, f"{system.url}/ops/{page}", phone=phone, dark=dark)
    await seen.page.get_by_role("textbox", name="Key").fill(key)
    await seen.page.get_by_role("textbox", name="Your name").fill("olga")
    await seen.page.get_by_role("button", name="Sign in").click()
    await expect(seen.page.get_by_role("dialog")).to_have_count(0)
    seen.complaints.clear()  # that nobody was signed in was refused, and so told
    return seen


def button(within: Shown | Locator, name: str) -> Locator:
    where = within.page if isinstance(within, Shown) else within
    return where.get_by_role("button", name=name)


async def a_dead_job(user: User, admin: httpx.AsyncClient, text: str) -> int:
    """The number of its letter."""
    job = await user.echo(text, fail="transient")
    found: list[int] = []

    async def parked() -> bool:
        letters = (await admin.get("/dead-letters", params={"source": "job"})).json()["letters"]
        found[:] = [each["number"] for each in letters if each["job"] == job["id"]]
        return bool(found)

    await eventually(parked, within=60, every=0.2)
    return found[0]


async def test_an_operator_signs_in_with_a_key_of_their_own_and_a_wrong_one_is_refused(
    system: System, browser: Browser
) -> None:
    seen = await shown(browser, f"{system.url}/ops")

    await seen.page.get_by_role("textbox", name="Key").fill("nobody's")
    await button(seen, "Sign in").click()
    await expect(seen.page.get_by_role("alert")).to_contain_text("Nobody has this key")
    await seen.page.get_by_role("textbox", name="Key").fill(ADMIN)
    await button(seen, "Sign in").click()

    await expect(seen.page.get_by_role("heading", name="Overview")).to_be_visible()
    assert await seen.page.evaluate("sessionStorage.getItem('headrace.key')") is None


async def test_the_overview_shows_what_happens_while_it_happens(
    system: System, browser: Browser, user: User
) -> None:
    seen = await signed_in(browser, system)
    busy = seen.page.locator(".tile", has_text="Slots busy")
    await expect(busy).to_contain_text("0 of 2")

    jobs = [await user.echo("word", repeat=500, delay_s=0.05) for _ in range(6)]
    try:
        await expect(busy).to_contain_text("2 of 2")
        await expect(seen.page.locator("tr", has_text="echo").first).to_contain_text("open")
        moment = seen.page.get_by_role("slider", name="Jobs, each")
        await moment.press("ArrowLeft")
        assert "accepted" in (await moment.get_attribute("aria-valuetext") or "")
    finally:
        for job in jobs:
            await user.cancel(job)
    await expect(busy).to_contain_text("0 of 2")
    assert seen.complaints == []


async def test_a_dead_letter_is_found_by_its_cause_mended_and_replayed(
    system: System, browser: Browser, user: User, admin: httpx.AsyncClient
) -> None:
    number = await a_dead_job(user, admin, "to be mended")
    seen = await signed_in(browser, system, "dead-letters")

    await seen.page.get_by_role("link", name="busy, as asked").first.click()
    await seen.page.get_by_role("link", name=str(number), exact=True).click()
    await button(seen, "Edit the input").click()
    await seen.page.get_by_label("Steps").fill("-1")
    await button(seen, "Try it").click()
    await expect(seen.page.locator("#field-steps-wrong")).not_to_be_empty()
    await seen.page.get_by_label("Steps").fill("0")
    await seen.page.get_by_label("Fail", exact=True).select_option(label="none")
    await button(seen, "Try it").click()
    await expect(seen.page.get_by_text("Its engine takes this input")).to_be_visible()
    assert (await admin.get(f"/dead-letters/{number}")).json()["settled"] is None
    await button(seen, "Replay with this input").click()

    await seen.page.get_by_role("link", name="The job that it became").click()
    await expect(seen.page.get_by_text("Done")).to_be_visible()
    await expect(seen.page.get_by_role("heading", name="to be mended")).to_be_visible()


async def test_a_whole_cause_is_counted_before_it_is_replayed_at_a_rate(
    system: System, browser: Browser, user: User, admin: httpx.AsyncClient
) -> None:
    numbers = [await a_dead_job(user, admin, f"again {nth}") for nth in range(2)]
    cause = (await admin.get(f"/dead-letters/{numbers[0]}")).json()["fingerprint"]
    groups = (await admin.get("/dead-letters/groups")).json()["groups"]
    (count,) = [each["count"] for each in groups if each["fingerprint"] == cause]
    seen = await signed_in(browser, system, f"dead-letters?fingerprint={cause}")

    await button(seen, f"Replay group {cause[:10]}").click()
    asked = seen.page.get_by_role("dialog")
    await expect(asked).to_contain_text(f"It finds {count} letters")
    await asked.get_by_label("At most so many a second").fill("50")
    await button(asked, f"Replay {count} letters").click()

    await expect(seen.page.get_by_text(f"{count} letters will be replayed")).to_be_visible()

    async def replayed() -> bool:
        letters = [(await admin.get(f"/dead-letters/{each}")).json() for each in numbers]
        return all(each["settled"] == "replayed" for each in letters)

    await eventually(replayed, within=30, every=0.2)


async def test_jobs_are_searched_for_and_cancelled_together_after_a_rehearsal(
    system: System, browser: Browser, user: User
) -> None:
    blue = f"blue-{token_hex(4)}"  # of this try alone
    jobs = [
        await user.submit(
            labels={"batch": blue}, input={"text": "word", "repeat": 500, "delay_s": 0.05}
        )
        for _ in range(3)
    ]
    seen = await signed_in(browser, system, "jobs")

    await seen.page.get_by_role("searchbox", name="Label").fill(f"batch:{blue}")
    await expect(seen.page.get_by_role("checkbox", name="Choose ")).to_have_count(3 + 1)
    await button(seen, "Cancel all found").click()
    asked = seen.page.get_by_role("dialog")
    await expect(asked).to_contain_text("3 would be cancelled")
    assert "cancel" not in (await user.get(jobs[0]))["state"]
    await button(asked, "Cancel 3 jobs").click()

    await expect(seen.page.get_by_text("3 jobs asked to end")).to_be_visible()
    for job in jobs:
        assert (await user.watch(job))[-1].type == "cancelled"


async def test_a_queue_is_paused_and_resumed_after_a_question(
    system: System, browser: Browser, user: User
) -> None:
    seen = await signed_in(browser, system, "queues")

    await button(seen, "Pause echo").click()
    await button(seen.page.get_by_role("dialog"), "Not now").click()
    await expect(seen.page.get_by_text("paused")).to_have_count(0)
    await button(seen, "Pause echo").click()
    await button(seen, "Pause it").click()
    await expect(seen.page.locator("tr", has_text="echo")).to_contain_text("paused")
    job = await user.echo("waits")
    await seen.page.goto(f"{system.url}/ops/jobs/{job['id']}")
    await expect(seen.page.get_by_label("Why it waits")).to_contain_text("paused")

    await seen.page.goto(f"{system.url}/ops/queues/echo")
    await expect(seen.page.get_by_role("link", name="waits", exact=True)).to_be_visible()
    await button(seen, "Resume echo").click()
    await button(seen, "Resume it").click()

    assert (await user.watch(job))[-1].type == "succeeded"
    await seen.page.goto(f"{system.url}/ops/audit")
    await expect(seen.page.locator("tr", has_text="lane.pause").first).to_contain_text("olga")


async def test_a_rollout_goes_a_step_on_and_all_the_way_back(
    system: System, browser: Browser, admin: httpx.AsyncClient
) -> None:
    seen = await signed_in(browser, system, "rollout")
    for path in ("local", "distributed"):
        await expect(seen.page.get_by_role("region", name=path, exact=True)).to_be_visible()

    await button(seen, "10 %").click()
    await button(seen, "Go to 10 %").click()

    if system.mode == "MONOLITH":  # it has no distributed path: what the api says is shown
        told = seen.page.get_by_role("dialog").get_by_role("alert")
        await expect(told).not_to_be_empty()
        assert (await admin.get("/rollout")).json()["percent"] == 0
        return
    await expect(button(seen, "10 %")).to_have_attribute("aria-pressed", "true")
    await expect(seen.page.get_by_text("every one applies version")).to_be_visible()
    await button(seen, "Roll everything back").click()
    await button(seen, "Roll back").click()
    await expect(seen.page.get_by_text("Everything is rolled back")).to_be_visible()
    assert (await admin.get("/rollout")).json()["percent"] == 0


async def test_a_key_is_shown_once_and_a_revoked_one_is_good_for_nothing(
    system: System, browser: Browser
) -> None:
    name = f"of the test {token_hex(4)}"
    seen = await signed_in(browser, system, "tenants/acme")
    await button(seen, "New key").click()
    made = seen.page.get_by_role("dialog")
    await made.get_by_label("Name").fill(name)
    await button(made, "Make it").click()
    key = await made.locator(".key code").inner_text()
    await button(made, "I have it").click()

    async with httpx.AsyncClient(base_url=system.url, trust_env=False) as http:
        before = await http.get("/jobs", headers={"apikey": key})
        await button(seen, f"Revoke {name}").click()
        await button(seen, "Revoke it").click()
        await expect(seen.page.get_by_role("row", name=name)).to_contain_text("revoked")

        async def refused() -> bool:
            return (await http.get("/jobs", headers={"apikey": key})).status_code == 401

        await eventually(refused, within=10, every=0.2)
    assert before.status_code == 200
    assert key not in await seen.page.content()


async def test_who_may_only_look_sees_everything_and_is_told_why_nothing_can_be_changed(
    system: System, browser: Browser, admin: httpx.AsyncClient
) -> None:
    asked = {"tenant": "acme", "name": "looker", "scopes": ["admin:read"]}
    key = (await admin.post("/keys", json=asked)).json()["key"]
    seen = await signed_in(browser, system, "queues", key=key)

    await expect(seen.page.get_by_text("may look and not change")).to_be_visible()
    pause = button(seen, "Pause echo")
    await expect(pause).to_be_disabled()
    await pause.click(force=True)

    await expect(seen.page.get_by_role("dialog")).to_have_count(0)
    await expect(pause).to_have_attribute("title", "Your key may look and not change anything.")
    await seen.page.get_by_role("link", name="Schedules", exact=True).click()
    await expect(button(seen, "New schedule")).to_be_disabled()
    assert seen.complaints == []


async def test_what_the_server_lacks_is_said_and_the_rest_goes_on(
    system: System, browser: Browser
) -> None:
    seen = await signed_in(browser, system)
    await seen.page.route(  # as an older server answers
        "**/admin/workers",
        lambda route: route.fulfill(status=404, json={"type": "urn:headrace:problem:not-found"}),
    )

    await seen.page.get_by_role("link", name="Workers", exact=True).click()
    await expect(seen.page.get_by_text("This server does not have that yet")).to_be_visible()
    await seen.page.get_by_role("link", name="Queues", exact=True).click()

    await expect(seen.page.locator("tr", has_text="echo").first).to_be_visible()


async def test_a_hidden_console_asks_the_server_nothing(system: System, browser: Browser) -> None:
    seen = await signed_in(browser, system)
    asked: list[str] = []
    seen.page.on("request", lambda request: asked.append(request.url))
    hide = """hidden => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""

    async with seen.page.expect_response("**/admin/overview*"):
        pass  # one that may be under way
    await seen.page.evaluate(hide, arg=True)
    asked.clear()
    await seen.page.wait_for_timeout(5000)
    quiet = list(asked)
    async with seen.page.expect_request("**/admin/overview*"):
        await seen.page.evaluate(hide, arg=False)

    assert quiet == []


async def test_the_jobs_page_does_not_load_the_console(system: System, browser: Browser) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))

    await page.goto(system.url)
    await expect(page.get_by_role("heading", name="Headrace")).to_be_visible()
    on_the_jobs_page = [each for each in loaded if "Console" in each or "Webhooks" in each]
    await page.goto(f"{system.url}/ops/rollout")
    await expect(page.get_by_role("textbox", name="Key")).to_be_visible()

    assert on_the_jobs_page == []
    assert any("Console" in each for each in loaded)


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, True)])
async def test_nothing_bars_the_way_and_nothing_scrolls_sideways(
    system: System,
    browser: Browser,
    user: User,
    admin: httpx.AsyncClient,
    *,
    dark: bool,
    phone: bool,
) -> None:
    number = await a_dead_job(user, admin, "W" * 200)
    job = (await admin.get(f"/dead-letters/{number}")).json()["job"]
    seen = await signed_in(browser, system, dark=dark, phone=phone)
    places = ["", *PAGES, f"jobs/{job}", f"dead-letters/{number}", "queues/echo", "tenants/local"]
    places.append(f"schedules/{await a_schedule(admin)}")

    found = {}
    for place in places:
        await seen.page.goto(f"{system.url}/ops/{place}")
        await expect(seen.page.get_by_role("heading", level=1)).to_be_visible()
        await expect(seen.page.locator(".ghost")).to_have_count(0)
        wide = await seen.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        found[place] = (await barriers(seen.page), max(0, wide))

    assert {place: each for place, each in found.items() if each != ([], 0)} == {}


async def a_schedule(admin: httpx.AsyncClient) -> str:
    asked = {"tenant": "local", "cron": "0 6 * * MON-FRI", "timezone": "America/Argentina/Ushuaia"}
    job = {"kind": "echo", "input": {"text": "W" * 200}}
    made = (await admin.post("/schedules", json={**asked, "job": job})).raise_for_status()
    (await admin.post(f"/schedules/{made.json()['id']}/run-now")).raise_for_status()
    return str(made.json()["id"])


async def test_the_keyboard_is_enough(system: System, browser: Browser) -> None:
    seen = await signed_in(browser, system)
    await seen.page.get_by_role("link", name="Queues", exact=True).focus()
    press = seen.page.keyboard.press

    await press("Enter")
    await expect(button(seen, "Pause echo")).to_be_visible()
    await button(seen, "Pause echo").focus()
    await press("Enter")
    await expect(seen.page.get_by_role("dialog")).to_be_visible()
    await press("Escape")

    await expect(seen.page.get_by_role("dialog")).to_have_count(0)
    await expect(button(seen, "Pause echo")).to_be_focused()
