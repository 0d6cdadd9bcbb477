"""Everybody's models in the operators' console, in a real browser: versions, who has them loaded, who may use them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from headrace.engines.digits.data import SHADES, split
from headrace.testkit.browser import a_browser, barriers, close_pages, shown
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
NAME = "digits-of-acme"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    settings = {"ENGINES": "sklearn-train,sklearn-serve", "ADMIN_KEY": ADMIN}
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


@pytest_asyncio.fixture(loop_scope="module")
async def admin(system: System) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"{system.url}/admin", headers={"apikey": ADMIN}, trust_env=False, timeout=20
    ) as http:
        yield http


async def key_of(admin: httpx.AsyncClient, tenant: str, *scopes: str) -> str:
    asked = {"tenant": tenant, "name": "of the test", "scopes": scopes}
    return str((await admin.post("/keys", json=asked)).raise_for_status().json()["key"])


async def signed_in(browser: Browser, system: System, page: str, key: str, **how: bool) -> Page:
    seen = await shown(browser, f"{system.url}/ops/{page}", **how)
    await seen.page.get_by_role("textbox", name="Key").fill(key)
    await seen.page.get_by_role("button", name="Sign in").click()
    await expect(seen.page.get_by_role("dialog")).to_have_count(0)
    return seen.page


async def done(user: User, path: str, **asked: Any) -> None:
    job = (await user.http.post(path, json=asked)).raise_for_status().json()
    assert (await user.watch(job))[-1].type == "succeeded"


async def test_operators_see_whose_models_there_are_and_where_they_are_loaded(
    system: System, browser: Browser, admin: httpx.AsyncClient
) -> None:
    acme = {"apikey": await key_of(admin, "acme", "submit", "models")}
    rows = (split(0.2, 3).held_out[:2] * SHADES).round().tolist()
    async with httpx.AsyncClient(base_url=system.url, headers=acme, timeout=20) as http:
        user = User(http)
        for epochs in (4, 7):
            made = {"input": {"epochs": epochs, "hidden": [16]}, "register_as": NAME}
            await done(user, "/jobs/training", **made)
        await done(user, "/jobs/inference", model=f"{NAME}@2", input={"rows": rows})
    page = await signed_in(browser, system, "models", ADMIN)
    dialog = page.get_by_role("dialog")

    row = page.get_by_role("row").filter(has_text=NAME)
    await expect(row).to_contain_text("acme")
    await expect(row).to_contain_text("on 1 worker")
    assert await barriers(page) == []
    await row.get_by_role("link", name=NAME).click()
    versions = page.get_by_role("region", name="Versions").get_by_role("row")
    await expect(versions.filter(has_text=f"{NAME}@2")).to_contain_text("1 worker")
    await expect(versions.filter(has_text=f"{NAME}@1")).to_contain_text("100 %")
    await expect(versions.filter(has_text=f"{NAME}@1")).to_contain_text("nowhere")
    loaded = page.get_by_role("region", name="Workers that have one loaded")
    await expect(loaded.get_by_role("row")).to_have_count(1 + 1)
    await expect(loaded).to_contain_text("iB")
    assert await barriers(page) == []

    await page.get_by_role("button", name="Share with all tenants").click()
    await expect(dialog).to_contain_text("stay acme's")
    await dialog.get_by_role("button", name="Not now").click()
    assert (await admin.get(f"/models/acme/{NAME}")).json()["shared"] is False
    await page.get_by_role("button", name="Share with all tenants").click()
    await dialog.get_by_role("button", name="Share it").click()
    await expect(page.get_by_text("shared with all tenants")).to_be_visible()
    assert (await admin.get(f"/models/acme/{NAME}")).json()["shared"] is True
    await page.get_by_role("button", name="Share no more").click()
    await dialog.get_by_role("button", name="Its owner's alone").click()
    await expect(page.get_by_text("shared with all tenants")).to_have_count(0)


async def test_who_may_only_look_sees_it_all_and_shares_nothing(
    system: System, browser: Browser, admin: httpx.AsyncClient
) -> None:
    acme = {"apikey": await key_of(admin, "acme", "submit", "models")}
    async with httpx.AsyncClient(base_url=system.url, headers=acme, timeout=20) as http:
        made = {"input": {"epochs": 4, "hidden": [16]}, "register_as": "seen"}
        await done(User(http), "/jobs/training", **made)
    key = await key_of(admin, "acme", "admin:read")
    page = await signed_in(browser, system, "models/acme%2Fseen", key, phone=True, dark=True)
    share = page.get_by_role("button", name="Share with all tenants")

    await expect(page.get_by_role("region", name="Versions")).to_contain_text("seen@1")
    await expect(share).to_be_disabled()
    await share.click(force=True)
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert await barriers(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_a_model_that_is_nobody_s_is_said_not_to_be_there(
    system: System, browser: Browser
) -> None:
    page = await signed_in(browser, system, "models/acme%2Fnone", ADMIN)

    await expect(page.get_by_role("alert")).to_contain_text("none")
    assert await barriers(page) == []
