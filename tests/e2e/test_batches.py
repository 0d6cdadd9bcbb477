"""A batch through the whole system: uploaded, begun as there is room, followed to its end, or cancelled; and its page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from httpx_sse import aconnect_sse
from playwright.async_api import Browser, expect

from headrace.testkit.browser import a_browser, barriers, close_pages, shown
from headrace.testkit.client import User
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
]
expect.set_options(timeout=30_000)
JSONL = {"Content-Type": "application/jsonl"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    settings = {"SLOTS": "echo=2", "MAX_QUEUED_PER_TENANT": "20", "LEASE_S": "10"}
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


def lines(count: int, *more: str, delay_s: float = 0) -> str:
    items = [
        {"custom_id": f"row-{n}", "input": {"text": f"a {n}", "delay_s": delay_s}}
        for n in range(count)
    ]
    return "\n".join([*map(json.dumps, items), *more])


async def hand_in(user: User, content: str) -> Any:
    answer = await user.http.post(
        "/batches", params={"kind": "echo"}, content=content, headers=JSONL
    )
    assert answer.status_code == 202, answer.text
    return answer.json()


async def look(user: User, batch: Any) -> Any:
    return (await user.http.get(f"/batches/{batch['id']}")).raise_for_status().json()


async def test_a_batch_longer_than_the_queue_is_begun_as_there_is_room_and_followed_to_its_end(
    user: User,
) -> None:
    upload = await user.http.post("/blobs", content=lines(60, "bad"), headers=JSONL)
    asked = {"kind": "echo", "blob": upload.json()["blob"], "labels": {"who": "me"}}
    batch = (await user.http.post("/batches", json=asked)).raise_for_status().json()
    states: list[Any] = []

    async def watch() -> None:
        async with aconnect_sse(user.http, "GET", f"/batches/{batch['id']}/events") as source:
            states.extend([json.loads(event.data) async for event in source.aiter_sse()])

    async with asyncio.timeout(200), asyncio.TaskGroup() as group:
        group.create_task(watch())
        followed = await follow(user, batch)

    assert sorted(each["item"] for each in followed) == list(range(61))
    assert [each["custom_id"] for each in followed if each["state"] == "rejected"] == [None]
    assert all(each["result"]["text"] == f"a {each['item']}" for each in followed if each["result"])
    assert {each["held_up"] for each in states} >= {"as many jobs wait as may", None}
    assert all(each["counts"]["waiting"] + each["counts"]["running"] > 0 for each in states[:-1])
    assert (states[-1]["state"], states[-1]["counts"]["succeeded"]) == ("ended", 60)
    assert max(each["total"] for each in states) == sum(states[0]["counts"].values()) == 61


async def follow(user: User, batch: Any) -> list[Any]:
    at, asked = f"/batches/{batch['id']}/results", {"follow": "true"}
    async with user.http.stream("GET", at, params=asked, timeout=60) as answer:
        return [json.loads(line) async for line in answer.aiter_lines() if line]


async def test_what_is_left_of_a_batch_is_cancelled(user: User) -> None:
    batch = await hand_in(user, lines(40, delay_s=2))

    async def has_begun() -> bool:
        return bool((await look(user, batch))["counts"]["running"])

    async def is_over() -> bool:
        return bool((await look(user, batch))["finished_at"])

    await eventually(has_begun, within=30, every=0.1)
    asked = await user.http.post(f"/batches/{batch['id']}/cancel")
    await eventually(is_over, within=60, every=0.2)
    over = await look(user, batch)

    assert (asked.status_code, asked.json()["state"]) == (202, "cancelling")
    assert over["state"] == "cancelled"
    counts = over["counts"]
    assert counts["cancelled"] + counts["succeeded"] == 40
    assert counts["cancelled"] >= 30
    ended = await follow(user, batch)
    assert sorted(each["custom_id"] for each in ended) == sorted(f"row-{n}" for n in range(40))


async def test_a_person_hands_in_a_file_and_takes_the_results_away(
    system: System, browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text(lines(6, '{"custom_id": "seven", "input": {"text": 7}}'))
    seen = await shown(browser, f"{system.url}/batches")
    await seen.page.get_by_label("Kind").select_option("echo")
    await seen.page.get_by_label("Items").set_input_files(file)
    assert await barriers(seen.page) == []
    await seen.page.get_by_role("button", name="Hand in").click()

    await expect(seen.page.get_by_text("7 of 7 · 100")).to_be_visible()
    await expect(seen.page.get_by_text("7 is not of type 'string'")).to_be_visible()
    async with seen.page.expect_download() as taken:
        await seen.page.get_by_role("button", name="Results", exact=True).click()
    await (await taken.value).save_as(tmp_path / "results.jsonl")

    results = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert sorted(each["item"] for each in results) == list(range(7))
    assert await barriers(seen.page) == []
    assert seen.complaints == []
    phone = await shown(browser, seen.page.url, phone=True, dark=True)
    await expect(phone.page.get_by_text("What went wrong")).to_be_visible()
    assert await barriers(phone.page) == []
    assert await phone.page.evaluate("document.documentElement.scrollWidth") <= 390
