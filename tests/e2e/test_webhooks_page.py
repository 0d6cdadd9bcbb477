"""The pages of webhooks in a real browser: endpoints made, turned, disabled and deleted; calls read and made again."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from standardwebhooks.webhooks import Webhook as Reference

from headrace.testkit.browser import Shown, a_browser, barriers, close_pages, shown
from headrace.testkit.client import User
from headrace.testkit.receivers import Receiver, a_receiver, answers
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    async with running(
        mode,
        tmp_path_factory.mktemp(mode),
        SLOTS="echo=2",
        WEBHOOK_HTTP="true",
        WEBHOOK_NETWORKS="127.0.0.0/8",
        ADMIN_KEY=ADMIN,
    ) as system:
        yield system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncGenerator[Browser]:
    async with a_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def browser(chromium: Browser, user: User) -> AsyncGenerator[Browser]:
    yield chromium
    await close_pages(chromium)
    for each in (await user.http.get("/webhooks")).json()["webhooks"]:
        await user.http.delete(f"/webhooks/{each['id']}")


async def endpoint(user: User, receiver: Receiver, **fields: Any) -> Any:
    asked = {"url": receiver.url, **fields}
    return (await user.http.post("/webhooks", json=asked)).raise_for_status().json()


async def given_up(user: User, hook: Any, count: int) -> None:
    """So many calls to this endpoint, which answers 410: it is disabled by the first."""
    for nth in range(count):
        job = await user.echo(f"given up {nth}")
        assert (await user.watch(job))[-1].type == "succeeded"

        async def are_so(wanted: int = nth + 1) -> bool:
            query = {"webhook": hook["id"], "state": "given_up"}
            found = (await user.http.get("/webhooks/deliveries", params=query)).json()
            return len(found["deliveries"]) == wanted

        await eventually(are_so, within=20, every=0.2)
        await user.http.patch(f"/webhooks/{hook['id']}", json={"enabled": True})


async def signed_in(browser: Browser, system: System, page: str, key: str = ADMIN) -> Shown:
    seen = await shown(browser, f"{system.url}/ops/{page}")
    await seen.page.get_by_role("textbox", name="Key").fill(key)
    await seen.page.get_by_role("button", name="Sign in").click()
    await expect(seen.page.get_by_role("dialog")).to_have_count(0)
    seen.complaints.clear()  # that nobody was signed in was refused, and so told
    return seen


async def test_an_endpoint_is_made_and_what_it_receives_is_signed_with_the_secret_that_was_shown(
    system: System, browser: Browser, user: User
) -> None:
    seen = await shown(browser, f"{system.url}/webhooks")
    page, dialog = seen.page, seen.page.get_by_role("dialog")
    await expect(page.get_by_text("Nobody is called about all of your jobs")).to_be_visible()
    async with a_receiver() as receiver:
        await page.get_by_role("button", name="New endpoint").click()
        await dialog.get_by_label("Address").fill("https://169.254.169.254/")
        await dialog.get_by_role("button", name="Make it").click()
        await expect(dialog.get_by_text("not a public address")).to_be_visible()
        assert await barriers(page) == []
        await dialog.get_by_label("Address").fill(receiver.url)
        await dialog.get_by_label("A job failed").uncheck()
        await dialog.get_by_label("What it is for").fill("the shop")
        await dialog.get_by_role("button", name="Make it").click()
        secret = await dialog.locator(".secret code").inner_text()
        assert await barriers(page) == []
        await dialog.get_by_role("button", name="I have it").click()

        assert secret not in await page.content()
        (made,) = (await user.http.get("/webhooks")).json()["webhooks"]
        assert made["events"] == ["job.succeeded", "job.cancelled", "job.dead"]
        row = page.get_by_role("listitem").filter(has_text=receiver.url)
        await expect(row).to_contain_text("on")
        await expect(row).to_contain_text("the shop")
        await row.get_by_role("link").click()
        job = await user.echo("one two")
        await page.get_by_role("link", name="job.succeeded").click()
        body = page.get_by_role("region", name="Body")
        await expect(body).to_contain_text(job["id"])
        await expect(page.get_by_text("answered 204")).to_be_visible()

    (received,) = receiver.received
    assert Reference(secret).verify(received.body, received.headers)
    assert json.loads(await body.inner_text()) == json.loads(received.body)
    assert await barriers(page) == []
    complaints = [each for each in seen.complaints if "422" not in each]
    assert complaints == []


async def test_a_secret_is_rotated_and_the_one_before_signs_beside_it(
    system: System, browser: Browser, user: User
) -> None:
    async with a_receiver() as receiver:
        made = await endpoint(user, receiver)
        seen = await shown(browser, f"{system.url}/webhooks/{made['id']}", phone=True, dark=True)
        page, dialog = seen.page, seen.page.get_by_role("dialog")

        await page.get_by_role("button", name="Rotate the secret").click()
        await expect(dialog).to_contain_text("for a day")
        await dialog.get_by_role("button", name="Rotate it").click()
        await expect(dialog).to_contain_text("The new secret")
        secret = await dialog.locator(".secret code").inner_text()
        await expect(dialog.get_by_text("signs beside it")).to_be_visible()
        assert await barriers(page) == []
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        await user.echo("one")
        await eventually(lambda: len(receiver.received) == 1, within=20)

    assert secret != made["secret"]
    for good in (secret, made["secret"]):
        Reference(good).verify(receiver.received[0].body, receiver.received[0].headers)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_an_endpoint_that_wants_no_more_says_why_it_is_disabled_and_is_enabled_again(
    system: System, browser: Browser, user: User
) -> None:
    async with a_receiver(answers(410)) as receiver:
        made = await endpoint(user, receiver)
        seen = await shown(browser, f"{system.url}/webhooks/{made['id']}")
        page, dialog = seen.page, seen.page.get_by_role("dialog")
        await user.echo("one")

        await expect(page.get_by_text("it answered 410")).to_be_visible()
        await page.get_by_role("button", name="Enable").click()
        await dialog.get_by_role("button", name="Enable it").click()
        await expect(page.get_by_text("It is called again.")).to_be_visible()
        assert (await user.http.get(f"/webhooks/{made['id']}")).json()["disabled_at"] is None

        await page.get_by_role("button", name="Change").click()
        await dialog.get_by_label("A batch is over").check()
        await dialog.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("job.dead, batch.ended")).to_be_visible()
        await page.get_by_role("button", name="Disable").click()
        await dialog.get_by_role("button", name="Disable it").click()
        await expect(page.get_by_text("as somebody asked")).to_be_visible()
        assert await barriers(page) == []
        await page.get_by_role("button", name="Delete").click()
        await dialog.get_by_role("button", name="Not now").click()
        await page.get_by_role("button", name="Delete").click()
        await dialog.get_by_role("button", name="Delete it").click()

    await expect(page).to_have_url(f"{system.url}/webhooks")
    await expect(page.get_by_text("Nobody is called about all of your jobs")).to_be_visible()
    assert (await user.http.get(f"/webhooks/{made['id']}")).status_code == 404
    assert seen.complaints == []


async def test_what_was_given_up_is_made_again_one_by_one_and_all_at_once(
    system: System, browser: Browser, user: User
) -> None:
    async with a_receiver(answers(410)) as receiver:
        made = await endpoint(user, receiver)
        await given_up(user, made, 3)
        receiver.behave = answers(204)
        seen = await shown(browser, f"{system.url}/webhooks/{made['id']}")
        page, dialog = seen.page, seen.page.get_by_role("dialog")
        rows = page.get_by_role("list", name="Deliveries").get_by_role("listitem")

        await expect(rows.filter(has_text="Given up")).to_have_count(3)
        await rows.first.get_by_role("button", name="Redeliver").click()
        await expect(rows.filter(has_text="Delivered")).to_have_count(1)
        await page.get_by_role("button", name="Redeliver all that failed").click()
        await expect(dialog).to_contain_text("2 calls to this endpoint were given up")
        assert await barriers(page) == []
        await dialog.get_by_role("button", name="Redeliver 2 calls").click()

        await expect(page.get_by_text("2 calls made again.")).to_be_visible()
        await expect(rows.filter(has_text="Delivered")).to_have_count(3)
        await page.get_by_label("Those that are").select_option("given up")
        await expect(page.get_by_text("None stands so.")).to_be_visible()
        await page.get_by_role("button", name="Redeliver all that failed").click()
        await expect(dialog).to_contain_text("No call to this endpoint was given up")
    assert len(receiver.received) == 6
    assert await barriers(page) == []
    assert seen.complaints == []


async def test_the_keyboard_is_enough_and_a_key_that_may_only_look_is_told_why(
    system: System, browser: Browser, user: User
) -> None:
    async with a_receiver() as receiver:
        await endpoint(user, receiver)
    seen = await shown(browser, f"{system.url}/webhooks", phone=True)
    page = seen.page
    link = page.get_by_role("link", name=receiver.url)
    await link.focus()
    await page.keyboard.press("Enter")
    delete = page.get_by_role("button", name="Delete")
    await delete.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(delete).to_be_focused()

    who = {**(await user.http.get("/admin/whoami")).json(), "scopes": ["read"]}
    await page.route("**/admin/whoami", lambda asked: asked.fulfill(json=who))
    await page.reload()
    await expect(page.get_by_text("lacks the scope “submit”")).to_be_visible()
    for change in ("Change", "Show the secret", "Rotate the secret", "Disable", "Delete"):
        await expect(page.get_by_role("button", name=change)).to_be_disabled()
    assert await barriers(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_an_operator_sees_everybody_s_and_makes_a_call_again(
    system: System, browser: Browser, user: User
) -> None:
    async with a_receiver(answers(410)) as receiver:
        made = await endpoint(user, receiver)
        await given_up(user, made, 2)
        receiver.behave = answers(204)
        seen = await signed_in(browser, system, "webhooks")
        page, dialog = seen.page, seen.page.get_by_role("dialog")

        await page.get_by_role("link", name=f"Calls to {receiver.url} of local").click()
        calls = page.get_by_role("region", name="Deliveries").get_by_role("row")
        await expect(calls.filter(has_text="Given up")).to_have_count(2)
        await calls.nth(1).get_by_role("link", name="job.succeeded").click()
        await expect(page.get_by_role("region", name="Body")).to_contain_text("given up 1")
        await expect(page.get_by_text("answered 410", exact=True)).to_be_visible()
        await page.get_by_role("button", name="Redeliver").click()
        await expect(dialog).to_contain_text("local's receiver")
        await dialog.get_by_role("button", name="Redeliver it").click()
        await expect(page.get_by_text("answered 204")).to_be_visible()
        assert await barriers(page) == []
        await page.go_back()
        await page.get_by_role("button", name="Redeliver all that failed").click()
        await dialog.get_by_role("button", name="Redeliver 1 call").click()
        await expect(calls.filter(has_text="Delivered")).to_have_count(2)
        assert await barriers(page) == []
    assert seen.complaints == []
    async with httpx.AsyncClient(base_url=system.url, headers={"apikey": ADMIN}) as admin:
        audit = (await admin.get("/admin/audit")).json()["audit"]
    assert [each["action"] for each in audit].count("webhook.redeliver") == 2


async def test_an_operator_who_may_only_look_sees_them_and_changes_nothing(
    system: System, browser: Browser, user: User
) -> None:
    async with a_receiver() as receiver:
        await endpoint(user, receiver)
        await user.echo("one")
        await eventually(lambda: len(receiver.received) == 1, within=20)
    asked = {"tenant": "acme", "name": "looker", "scopes": ["admin:read"]}
    async with httpx.AsyncClient(base_url=system.url, headers={"apikey": ADMIN}) as admin:
        key = (await admin.post("/admin/keys", json=asked)).json()["key"]
    seen = await signed_in(browser, system, "webhooks", key)
    again = seen.page.get_by_role("button", name="Redeliver job.succeeded").first

    await expect(seen.page.get_by_role("region", name="Endpoints")).to_contain_text(receiver.url)
    await expect(again).to_be_disabled()
    await again.click(force=True)
    await expect(seen.page.get_by_role("dialog")).to_have_count(0)
    await expect(seen.page.get_by_role("button", name="Redeliver all that failed")).to_be_disabled()
    assert await barriers(seen.page) == []
