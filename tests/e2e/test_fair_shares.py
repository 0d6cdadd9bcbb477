"""Several tenants on one system: turns, caps, pauses and explanations, the same in both modes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, TypeAlias

import httpx
import pytest
import pytest_asyncio

from headrace.testkit.client import User
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

NAMES = ("red", "blue", "green", "grey", "admin")
Users: TypeAlias = dict[str, User]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    keys = ",".join(f"{name}:key-of-{name}" for name in NAMES[:-1])
    folder = tmp_path_factory.mktemp(f"fair-{mode}")
    admin = "key-of-admin"
    async with running(mode, folder, SLOTS="echo=2", API_KEYS=keys, ADMIN_KEY=admin) as system:
        yield system


@pytest_asyncio.fixture(loop_scope="module")
async def users(system: System) -> AsyncGenerator[Users]:
    async with AsyncExitStack() as stack:
        yield {
            name: User(
                await stack.enter_async_context(
                    httpx.AsyncClient(
                        base_url=system.url,
                        headers={"apikey": f"key-of-{name}"},
                        trust_env=False,
                        timeout=20,
                    )
                )
            )
            for name in NAMES
        }


async def agree(users: Users, tenant: str, **terms: Any) -> None:
    answer = await users["admin"].http.put(f"/admin/tenants/{tenant}", json=terms)
    assert answer.status_code == 200, answer.text


async def lane(users: Users, verb: str) -> None:
    answer = await users["admin"].http.post(f"/admin/lanes/echo/{verb}")
    assert answer.status_code == 200, answer.text


def at(job: Any, moment: str) -> datetime:
    return datetime.fromisoformat(job[moment])


async def test_a_long_queue_delays_nobody_else(users: Users) -> None:
    await lane(users, "pause")  # until both queues are as long as they shall be
    many = [await users["red"].echo("word", delay_s=0.1) for _ in range(12)]
    one = await users["blue"].echo("word")
    await lane(users, "resume")

    await users["blue"].watch(one)
    await users["red"].watch(many[-1])

    began = at(await users["blue"].get(one), "started_at")
    before = [job for job in many if at(await users["red"].get(job), "started_at") < began]
    assert len(before) <= 2  # one of the first round, and the one beside it in the other slot


async def test_a_paused_lane_starts_nothing_until_it_goes_on(users: Users) -> None:
    await lane(users, "pause")
    job = await users["blue"].echo("word")

    said = await users["blue"].get(job, "/explain")
    await lane(users, "resume")

    assert (said["rule"], said["relax"]) == ("lane_paused", ["resume lane echo"])
    assert (await users["blue"].watch(job))[-1].type == "succeeded"
    assert at(said, "paused_since") < at(await users["blue"].get(job), "started_at")


async def test_a_tenant_has_no_more_running_than_its_cap(users: Users) -> None:
    await agree(users, "green", max_running=1)
    first, second = [await users["green"].echo("word", repeat=900, delay_s=0.1) for _ in range(2)]
    await users["green"].until(first, "started")

    async def held_back() -> bool:
        return bool((await users["green"].get(second, "/explain"))["rule"] == "tenant_cap")

    await eventually(held_back, within=10)
    await users["green"].cancel(first)

    await users["green"].until(second, "started")
    await users["green"].cancel(second)
    await users["green"].watch(second)


async def test_a_full_queue_refuses_with_a_time_to_come_back(users: Users) -> None:
    await agree(users, "grey", max_queued=2)
    later = {"kind": "echo", "input": {"text": "a"}, "run_at": "2100-01-01T00:00:00Z"}

    answers = [await users["grey"].http.post("/jobs", json=later) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert answers[-1].json()["type"] == "urn:headrace:problem:queue-full"


async def test_only_the_admin_s_key_pauses(users: Users) -> None:
    assert (await users["red"].http.post("/admin/lanes/echo/pause")).status_code == 403
