"""Remote workers over plain HTTP, against the system as it runs, the same in both modes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from headrace.testkit.remote_worker import ADMIN, API, MODEL, WEBP, HttpWorker, worker_key
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

ANYBODY = {"apikey": "0000000000"}
ASKED = {"prompt": "a red fox", "models": [MODEL], "nsfw": False}
# Another process, which takes a job and says so, and then does nothing until it is killed.
_POPS = """
import sys, time, httpx
url, key, model = sys.argv[1:]
body = {"name": "short-lived", "models": [model], "max_pixels": 1 << 20}
popped = httpx.post(f"{url}/api/v2/generate/pop", json=body, headers={"apikey": key}, trust_env=False)
print(popped.json()["id"], flush=True)
time.sleep(600)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def remote(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    settings: dict[str, Any] = {
        "ADMIN_KEY": ADMIN,
        "ALLOW_ANONYMOUS": "true",
        "REMOTE_TTL_S": "4",
        "LEASE_S": "2",
    }
    async with running(mode, tmp_path_factory.mktemp(f"remote-{mode}"), **settings) as system:
        yield system


@pytest_asyncio.fixture(loop_scope="module")
async def http(remote: System) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=remote.url, trust_env=False, timeout=40) as http:
        yield http


@pytest_asyncio.fixture(loop_scope="module")
async def worker(http: httpx.AsyncClient, request: pytest.FixtureRequest) -> HttpWorker:
    return HttpWorker(http, await worker_key(http, "owner"), f"of {request.node.name}"[:90])


async def ask(http: httpx.AsyncClient, path: str = "generate/async", **more: Any) -> str:
    answer = await http.post(f"{API}/{path}", json={**ASKED, **more}, headers=ANYBODY)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def finished(http: httpx.AsyncClient, request: str, kind: str = "") -> dict[str, Any]:
    async def done() -> Any:
        status = (await http.get(f"{API}/generate/{kind}status/{request}")).json()
        return status if status["done"] else None

    found = await eventually(done, within=20, every=0.1)
    assert isinstance(found, dict)
    return found


async def test_a_picture_goes_from_the_worker_to_who_asked_for_it(
    http: httpx.AsyncClient, worker: HttpWorker
) -> None:
    request = await ask(http)
    job = await worker.pop()

    assert await worker.put(job) == 200
    handed_in = await worker.submit(job)

    assert handed_in.status_code == 200
    (made,) = (await finished(http, request))["generations"]
    assert (await http.get(made["img"])).content == WEBP
    assert made["worker_name"] == worker.name


async def test_text_goes_from_the_worker_to_who_asked_for_it(
    http: httpx.AsyncClient, worker: HttpWorker
) -> None:
    request = await ask(http, "generate/text/async", prompt="Once")
    job = await worker.pop("generate/text/pop")

    body = {"id": job["id"], "generation": " upon a time", "state": "ok"}
    assert (await worker.post("generate/text/submit", body)).status_code == 200

    (made,) = (await finished(http, request, "text/"))["generations"]
    assert made["text"] == " upon a time"


async def test_who_waits_has_the_job_when_it_comes(
    http: httpx.AsyncClient, worker: HttpWorker
) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(worker.pop("workers/pop"))

        async def is_known() -> bool:
            found = await http.get(f"{API}/workers/name/{worker.name}")
            return found.is_success

        await eventually(is_known, within=10)
        await ask(http)

    job = waiting.result()
    assert job["model"] == MODEL
    await worker.put(job)
    assert (await worker.submit(job)).status_code == 200


async def test_a_worker_killed_mid_job_costs_it_one_lease(
    http: httpx.AsyncClient, worker: HttpWorker, remote: System
) -> None:
    request = await ask(http)
    arguments = ["-c", _POPS, remote.url, worker.key["apikey"], MODEL]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    first = (await process.stdout.readline()).decode().strip()
    process.kill()
    await process.wait()

    async def again() -> Any:
        job = await worker.pop()
        return job if job["id"] else None

    job = await eventually(again, within=20, every=0.2)
    assert isinstance(job, dict)
    checked = (await http.get(f"{API}/generate/check/{request}")).json()
    late = await worker.submit({"id": first})
    await worker.put(job)
    in_time = await worker.submit(job)

    assert job["id"] != first
    assert (checked["restarted"], checked["processing"]) == (1, 1)
    assert (late.status_code, late.json()["message"]) == (
        404,
        f"Processing Job with ID {first} does not exist.",
    )
    assert in_time.status_code == 200
    assert len((await finished(http, request))["generations"]) == 1


async def test_a_job_is_handed_in_once_and_by_its_worker(
    http: httpx.AsyncClient, worker: HttpWorker
) -> None:
    await ask(http)
    job = await worker.pop()
    await worker.put(job)
    stranger = HttpWorker(http, await worker_key(http, "stranger"), "another")

    refused = await stranger.submit(job)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(worker.submit(job)) for _ in range(4)]

    assert (refused.status_code, refused.json()["rc"]) == (403, "WrongCredentials")
    answers = sorted((task.result() for task in tasks), key=lambda each: each.status_code)
    assert [each.status_code for each in answers] == [200, 400, 400, 400]
    assert all("already submitted" in each.json()["message"] for each in answers[1:])


async def test_progress_keeps_the_lease_for_as_long_as_the_worker_speaks(
    http: httpx.AsyncClient, worker: HttpWorker
) -> None:
    """Longer than two leases."""
    request = await ask(http)
    job = await worker.pop()

    loop = asyncio.get_running_loop()
    began, told = loop.time(), 0

    async def speaks() -> bool:
        nonlocal told
        body = {"id": job["id"], "current_step": told, "total_steps": 100}
        assert (await worker.post("generate/progress", body)).status_code == 200
        told += 1
        return loop.time() - began > 10

    await eventually(speaks, within=20, every=1)
    await worker.put(job)

    assert (await worker.submit(job)).status_code == 200
    assert (await finished(http, request))["restarted"] == 0
