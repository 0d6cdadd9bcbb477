"""A batch under kills: each item ends once, the counts are exact, and what was read meanwhile is what there is."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace.testkit.system import MODES, Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.real]

BAD = (
    "no JSON at all",
    '{"custom_id": "no input"}',
    '{"custom_id": "of no kind", "input": {"text": 7}}',
    '{"custom_id": "of no model", "input": {"text": "a"}, "model": "none such"}',
    '{"custom_id": "of no field", "input": {"text": "a"}, "prioritty": 3}',
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.timeout(240)
async def test_a_batch_under_kills_ends_with_each_item_once(
    mode: Mode, tmp_path: Path, figures: list[str]
) -> None:
    await ends_with_each_item_once(mode, tmp_path, figures, total=600)


@pytest.mark.full
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.timeout(1800)
async def test_a_batch_of_thousands_under_kills_ends_with_each_item_once(
    mode: Mode, tmp_path: Path, figures: list[str]
) -> None:
    await ends_with_each_item_once(mode, tmp_path, figures, total=5_000)


async def ends_with_each_item_once(
    mode: Mode, folder: Path, figures: list[str], *, total: int
) -> None:
    bad = total // 100
    async with (
        running(mode, folder, kinds=1, SLOTS="echo=4", LEASE_S="5") as system,
        httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=30) as http,
    ):
        if mode == "EDA":
            await system.start("dispatcher@2")
        clock = asyncio.get_running_loop().time
        began = clock()
        client = Client(http, await handed_in(http, total))

        await eventually(client.has_begun, within=60, every=0.01)
        await kill(system, "dispatcher")
        cut_at = await begun_so_far(http, client.batch)
        await eventually(partial(client.has_ended, total // 4), within=900, every=0.5)
        await kill(system, "gpu-worker")
        await eventually(partial(client.has_ended, total), within=900, every=0.5)
        took_s = clock() - began

        whole = await agrees_with_what_was_read(client, total=total, bad=bad)
        check_results(whole, total=total)
        again = await done_once(http, client.batch, count=total - bad)
        figures.append(
            f"a batch of {total} under kills, {mode}: {took_s:.0f} s, dispatcher killed with "
            f"{cut_at} begun, {client.early} results read while it ran, "
            f"{again} items had a second attempt"
        )


async def agrees_with_what_was_read(client: Client, *, total: int, bad: int) -> list[Any]:
    """The counts are exact, and what was read while it ran is the beginning of what there is now."""
    over, whole = await client.look(), await client.read(after=0)
    assert (over["state"], over["progress"]) == ("ended", 1.0)
    assert over["counts"] == {
        **dict.fromkeys(("waiting", "running", "failed", "cancelled", "dead"), 0),
        "succeeded": total - bad,
        "rejected": bad,
    }
    assert client.early > 0, "nothing was read while it ran"
    assert client.read_so_far == whole
    wrong = await client.read(after=0, errors=True)
    assert wrong == [each for each in whole if each["state"] != "succeeded"]
    assert all(each["error"]["message"] for each in wrong)
    return whole


def check_results(whole: list[Any], *, total: int) -> None:
    """Each item once, and with what is its own."""
    assert sorted(each["item"] for each in whole) == list(range(total))
    for each in whole:
        item = each["item"]
        if item % 100:
            assert (each["custom_id"], each["state"]) == (f"item-{item}", "succeeded")
            assert each["result"]["text"] == f"a b {item}"
        else:
            assert (each["job"], each["state"]) == (None, "rejected")


async def done_once(http: httpx.AsyncClient, batch: str, *, count: int) -> int:
    """Each item has one job, and that one success; answers how many had another attempt."""
    jobs = await jobs_of(http, batch)
    items = {job["labels"]["headrace/item"] for job in jobs}
    assert len(jobs) == len(items) == count
    again = [job for job in jobs if job["attempt"] > 1]
    for job in again:
        timeline = (await http.get(f"/jobs/{job['id']}/timeline")).json()
        assert [it["outcome"] for it in timeline["attempts"]].count("succeeded") == 1
    return len(again)


@dataclass
class Client:
    """Reads on from its last cursor whenever it looks, as one that collects results while they come."""

    http: httpx.AsyncClient
    batch: str
    read_so_far: list[Any] = field(default_factory=list)
    early: int = 0  # results that it had before the batch was over

    @property
    def cursor(self) -> int:
        return self.read_so_far[-1]["cursor"] if self.read_so_far else 0

    async def has_begun(self) -> bool:
        return (await self.look())["counts"]["rejected"] > 0

    async def has_ended(self, count: int) -> bool:
        over = (await self.look())["state"] == "ended"
        self.read_so_far += await self.read(after=self.cursor)
        if not over:
            self.early = len(self.read_so_far)
        return len(self.read_so_far) >= count

    async def look(self) -> Any:
        found = (await self.http.get(f"/batches/{self.batch}")).raise_for_status().json()
        assert sum(found["counts"].values()) == found["total"]
        assert min(found["counts"].values()) >= 0
        return found

    async def read(self, *, after: int, errors: bool = False) -> list[Any]:
        asked = {"after": after, "errors": errors}
        answer = await self.http.get(f"/batches/{self.batch}/results", params=asked)
        return [json.loads(line) for line in answer.raise_for_status().text.splitlines()]


async def handed_in(http: httpx.AsyncClient, total: int) -> str:
    lines = [
        json.dumps({"custom_id": f"item-{n}", "input": {"text": f"a b {n}", "delay_s": 0}})
        if n % 100
        else BAD[n // 100 % len(BAD)]
        for n in range(total)
    ]
    headers = {"Content-Type": "application/jsonl", "Idempotency-Key": "once"}
    asked: dict[str, Any] = {
        "params": {"kind": "echo"},
        "content": "\n".join(lines),
        "headers": headers,
    }
    answer, again = [await http.post("/batches", **asked) for _ in range(2)]
    assert answer.status_code == 202, answer.text
    assert again.json()["id"] == answer.json()["id"]
    return str(answer.json()["id"])


async def begun_so_far(http: httpx.AsyncClient, batch: str) -> int:
    return len(await jobs_of(http, batch))


async def jobs_of(http: httpx.AsyncClient, batch: str) -> list[Any]:
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        asked = {"label": f"headrace/batch:{batch}", "limit": "200", **cursor}
        page = (await http.get("/jobs", params=asked)).raise_for_status().json()
        found += page["jobs"]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


async def kill(system: System, role: str) -> None:
    process = system.playing(role)
    process.kill(signal.SIGKILL)
    await process.wait()
    await system.start(process.name)
    await system.ready()
