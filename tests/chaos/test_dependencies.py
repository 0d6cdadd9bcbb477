"""Redis, RabbitMQ and PostgreSQL go away and come back under work; it still ends once, and is told so."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace.testkit.client import User, text_of
from headrace.testkit.own import own_postgres, own_rabbitmq, own_redis
from headrace.testkit.system import ROLES, System, free_port, running
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(180)]

WORDS = "a b c d e f g h"


@asynccontextmanager
async def working(folder: Path, **settings: str) -> AsyncGenerator[tuple[System, User]]:
    async with (
        running("EDA", folder, kinds=1, **settings) as system,
        httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http,
    ):
        yield system, User(http)


async def health(user: User, path: str = "/readyz") -> tuple[int, dict[str, Any]]:
    answer = await user.http.get(path)
    return answer.status_code, answer.json()


async def attempts_of(user: User, job: Any) -> list[dict[str, Any]]:
    attempts: list[dict[str, Any]] = (await user.get(job, "/timeline"))["attempts"]
    return attempts


async def outcomes(user: User, job: Any) -> list[str]:
    return [each["outcome"] for each in await attempts_of(user, job)]


async def the_end(user: User, job: Any) -> str:
    async def state() -> str | None:
        answer = await user.http.get(f"/jobs/{job['id']}/result")
        return answer.json()["state"] if answer.status_code == 200 else None

    end = await eventually(state, within=60, every=0.2)
    assert isinstance(end, str)
    return end


async def test_a_job_needs_no_redis_to_run_and_to_be_told_of(tmp_path: Path) -> None:
    async with (
        own_redis(tmp_path) as redis,
        working(tmp_path, REDIS_URL=redis.url) as (_, user),
    ):
        await redis.kill()

        job = await user.echo(WORDS)
        seen = await user.watch(job)
        status, report = await health(user)

        assert await the_end(user, job) == "succeeded"
        assert (await user.get(job, "/result"))["result"]["text"] == WORDS
        assert seen[-1].type == "succeeded"
        assert (status, report["status"]) == (200, "degraded")
        assert not report["dependencies"]["streams"]["ok"]

        await redis.start()
        again = await user.echo(WORDS, delay_s=0.1)

        assert text_of(await user.watch(again)) == WORDS
        assert (await health(user))[1]["status"] == "ok"


async def test_a_job_outlasts_a_restart_of_the_broker(tmp_path: Path) -> None:
    async with (
        own_rabbitmq(tmp_path) as broker,
        working(tmp_path, RABBITMQ_URL=broker.url, LEASE_S="60") as (system, user),
    ):
        running_on = await user.echo(WORDS, delay_s=0.4)
        await user.until(running_on, "token")

        await broker.stop()
        meanwhile = await user.echo("taken in while the broker is away")
        await eventually(lambda: "attempt.ended" in system.playing("gpu-worker").log.read_text())
        await broker.start()
        seen = await user.watch(running_on)

        assert text_of(seen) == WORDS
        assert await outcomes(user, running_on) == ["succeeded"]
        assert await the_end(user, meanwhile) == "succeeded"


async def test_a_result_waits_for_the_database_also_longer_than_a_lease(tmp_path: Path) -> None:
    async with (
        own_postgres(tmp_path) as database,
        working(tmp_path, DATABASE_URL=database.url, LEASE_S="6") as (system, user),
    ):
        job = await user.echo("a b c d", delay_s=0.5)
        await user.until(job, "token")

        clock = asyncio.get_running_loop().time
        await database.kill()
        away_since = clock()
        await eventually(lambda: "result.sent" in system.playing("gpu-worker").log.read_text())
        status, report = await health(user)
        refusal = await user.http.post("/jobs", json={"kind": "echo", "input": {"text": "a"}})
        await eventually(lambda: clock() > away_since + 7, within=10)
        await database.start()

        assert (status, report["status"]) == (503, "down")
        assert (refusal.status_code, refusal.headers["retry-after"]) == (503, "2")
        assert await the_end(user, job) == "succeeded"
        assert await outcomes(user, job) == ["succeeded"]
        assert await the_end(user, await user.echo("the next")) == "succeeded"


async def test_several_dispatchers_and_workers_end_each_of_many_jobs_once(tmp_path: Path) -> None:
    async with working(tmp_path, SLOTS="echo=2") as (system, user):
        await system.start("dispatcher@2")
        await system.start("gpu-worker@2")
        given = [_what_goes_wrong(number) for number in range(200)]

        jobs = [await user.echo("a b", **each) for each in given]
        ends = [await the_end(user, job) for job in jobs]
        attempts = [await attempts_of(user, job) for job in jobs]

        fails = [each.get("fail") == "input" for each in given]
        assert ends == ["failed" if fail else "succeeded" for fail in fails]
        for each, fail, made in zip(given, fails, attempts, strict=True):
            first, last = ["failed"] * ("fail" in each), ["succeeded"] * (not fail)
            assert [attempt["outcome"] for attempt in made] == first + last
        assert len({attempt["worker"] for made in attempts for attempt in made}) == 2


def _what_goes_wrong(number: int) -> dict[str, Any]:
    """Crashes cost a new child each, so there are few."""
    if number % 10 == 9:
        return {"fail": "input"}
    if number % 50 == 7:
        return {"fail": "crash", "fail_attempts": 1}
    return {"fail": "transient", "fail_attempts": 1} if number % 2 else {}


@pytest.mark.parametrize("role", ROLES)
async def test_who_starts_before_its_dependencies_says_so_in_a_line_or_waits(
    role: str, tmp_path: Path
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    env = {
        "EXECUTION_MODE": "EDA",
        "DATABASE_URL": f"postgresql://postgres@{nowhere}/postgres",
        "RABBITMQ_URL": f"amqp://guest:guest@{nowhere}/",
        "REDIS_URL": f"redis://{nowhere}/0",
        "DATA_DIR": str(tmp_path / "var"),
        "ENGINES": "echo",
        "PORT": str(free_port()),
        "LOG_FORMAT": "json",
    }
    system = System("EDA", tmp_path, env, int(env["PORT"]))

    proc = await system.start(role)
    try:
        code = await proc.wait(within=15)
    except TimeoutError:
        proc.kill(signal.SIGTERM)
        code = await proc.wait()

    said = proc.log.read_text()
    assert code != 0
    assert "Traceback" not in said
    assert nowhere in said or "database" in said
    assert len(said.splitlines()) <= 5
