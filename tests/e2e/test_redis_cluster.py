"""The composed system with a Redis Cluster as its REDIS_URL: what a user watches, and what an operator is told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from headrace.contracts.ids import JobId
from headrace.contracts.logs import log_key
from headrace.testkit.client import User, text_of
from headrace.testkit.infra import RedisCluster, own_redis_cluster
from headrace.testkit.redis_cluster import address
from headrace.testkit.system import Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]
ADMIN = "the-admin"
LIMIT_S = 90.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[RedisCluster]:
    async with own_redis_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    mode: Mode, cluster: RedisCluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[System]:
    folder = tmp_path_factory.mktemp(mode)
    async with running(
        mode, folder, SLOTS="echo=4", REDIS_URL=cluster.url, NAMESPACE=mode, ADMIN_KEY=ADMIN
    ) as system:
        yield system


@pytest_asyncio.fixture(loop_scope="module")
async def user(system: System) -> AsyncGenerator[User]:
    async with httpx.AsyncClient(
        base_url=system.url, headers=system.auth, trust_env=False, timeout=20
    ) as http:
        yield User(http)


async def test_jobs_on_every_node_are_watched_from_their_first_frame_to_their_last(
    user: User,
) -> None:
    jobs = [await user.echo(f"one two {number}") for number in range(9)]

    for number, job in enumerate(jobs):
        seen = await user.watch(job)
        assert (seen[0].type, seen[-1].type) == ("queued", "succeeded")
        assert text_of(seen) == f"one two {number}"


async def test_a_stream_goes_on_while_its_slot_moves(
    system: System, cluster: RedisCluster, user: User
) -> None:
    job = await user.echo("word", repeat=300, delay_s=0.02)
    key = log_key(system.env["NAMESPACE"], JobId(job["id"]))

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(user.watch(job))
        await user.until(job, "token")
        to = await cluster.another(key)
        await cluster.begin_move(key, to)
        await cluster.carry_keys(key, to)
        await cluster.end_move(key, to)

    positions = [each.position for each in watching.result()]
    assert positions == sorted(set(positions))
    assert "reset" not in {each.type for each in watching.result()}
    assert text_of(watching.result()) == " ".join(["word"] * 300)


async def test_a_ticket_opens_a_stream(user: User) -> None:
    job = await user.echo("one two")
    tickets = [(await user.http.post(f"/tickets?job={job['id']}")).json() for _ in range(6)]

    for ticket in tickets:
        path = f"/jobs/{job['id']}/events?ticket={ticket['ticket']}"
        assert (await user.http.get(path)).status_code == 200
        assert (await user.http.get(path)).status_code == 401


async def test_an_operator_is_told_which_node_is_down_and_what_it_had(
    system: System, cluster: RedisCluster, user: User
) -> None:
    assert "a cluster of 3 masters that has every slot" in await doctor(system)
    host, port = address(cluster.masters[1])
    await cluster.masters[1].kill()

    async def told() -> bool:
        answer = await user.http.get("/health", headers={"apikey": ADMIN})
        streams = answer.json()["dependencies"]["streams"]
        return f"{host}:{port}, which has 546" in streams.get("why", "")

    await eventually(told, within=LIMIT_S)
    assert f"{host}:{port}, which has 546" in await doctor(system)
    # What is left is served, and a job needs no stream to run.
    jobs = [await user.echo("one") for _ in range(6)]
    for job in jobs:
        assert (await user.watch(job))[-1].type == "succeeded"

    await cluster.masters[1].start()

    async def well() -> bool:
        return bool((await user.http.get("/health")).json()["status"] == "ok")

    await eventually(well, within=LIMIT_S)


async def doctor(system: System) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headrace.launch", "doctor"),
        env=system.env,
        cwd=Path(system.folder),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT_S):
        said, _ = await process.communicate()
    return said.decode()
