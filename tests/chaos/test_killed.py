"""Processes die at any moment; an accepted job still ends once, and its stream says what happened."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from headrace.testkit.client import Seen, User, text_of
from headrace.testkit.own import own_rabbitmq
from headrace.testkit.system import MODES, Mode, System, running

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(180)]


@asynccontextmanager
async def breakable(
    mode: Mode, folder: Path, **settings: str
) -> AsyncGenerator[tuple[System, User]]:
    async with (
        running(mode, folder, kinds=1, **settings) as system,
        httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http,
    ):
        yield system, User(http)


def assert_attempts_do_not_mix(seen: list[Seen]) -> None:
    positions = [each.position for each in seen]
    assert positions == sorted(set(positions))
    for epoch in {each.position.epoch for each in seen if each.type == "token"}:
        types = [each.type for each in seen if each.position.epoch == epoch]
        said = [each for each in types if each != "reset"]
        assert said[0] == "started", "an epoch's tokens follow its own start"


@pytest.mark.parametrize("mode", MODES)
async def test_a_job_whose_worker_is_killed_runs_again_and_ends_once(
    mode: Mode, tmp_path: Path
) -> None:
    async with breakable(mode, tmp_path) as (system, user):
        job = await user.echo("a b c d e f g h", delay_s=0.3)
        await user.until(job, "token")

        worker = system.playing("gpu-worker")
        worker.kill(signal.SIGKILL)
        await worker.wait()
        await system.start(worker.name)
        await system.ready()
        seen = await user.watch(job)

        assert seen[-1].type == "succeeded"
        assert [each.type for each in seen].count("succeeded") == 1
        assert_attempts_do_not_mix(seen)
        assert text_of(seen) == "a b c d e f g h"
        attempts = (await user.get(job, "/timeline"))["attempts"]
        assert [each["outcome"] for each in attempts] == ["lost", "succeeded"]


async def test_a_dispatcher_killed_while_it_releases_loses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    async with breakable("EDA", tmp_path, SLOTS="echo=4") as (system, user):
        jobs = []
        for _ in range(5):
            jobs += [await user.echo("a b", delay_s=0.01) for _ in range(12)]
            dispatcher = system.playing("dispatcher")
            dispatcher.kill(signal.SIGKILL)
            await dispatcher.wait()
            await system.start("dispatcher")

        ends = [(await user.watch(job))[-1].type for job in jobs]

        assert ends == ["succeeded"] * 60
        for job in jobs:
            outcomes = [each["outcome"] for each in (await user.get(job, "/timeline"))["attempts"]]
            assert outcomes.count("succeeded") == 1


async def test_an_api_killed_under_a_watcher_costs_the_watcher_nothing(tmp_path: Path) -> None:
    async with breakable("EDA", tmp_path) as (system, user):
        job = await user.echo("a b c d e f g h", delay_s=0.2)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(user.watch(job))
            await user.until(job, "token")
            api = system.playing("api")
            api.kill(signal.SIGKILL)
            await api.wait()
            await system.start("api")
            await system.ready()
        seen = watching.result()

        positions = [each.position for each in seen]
        assert positions == sorted(set(positions))
        assert text_of(seen) == "a b c d e f g h"
        assert len(seen) == len(await user.watch(job))


@pytest.mark.parametrize("mode", MODES)
async def test_a_stopping_worker_finishes_what_runs(mode: Mode, tmp_path: Path) -> None:
    async with breakable(mode, tmp_path, DRAIN_S="20") as (system, user):
        job = await user.echo("a b c d e f", delay_s=0.3)
        await user.until(job, "token")

        worker = system.playing("gpu-worker")
        worker.kill(signal.SIGTERM)

        assert await worker.wait(within=30) == 0
        await system.start(worker.name)
        await system.ready()
        attempts = (await user.get(job, "/timeline"))["attempts"]
        assert (await user.get(job))["state"] == "succeeded"
        assert [each["outcome"] for each in attempts] == ["succeeded"]


@pytest.mark.parametrize("mode", MODES)
async def test_what_does_not_finish_in_time_is_given_back_without_blame(
    mode: Mode, tmp_path: Path
) -> None:
    async with breakable(mode, tmp_path, DRAIN_S="0.5", RETRY_LOSSES="1", RETRY_FAILURES="1") as (
        system,
        user,
    ):
        job = await user.echo("a b c d e f g h i j", delay_s=0.3)
        await user.until(job, "token")

        worker = system.playing("gpu-worker")
        worker.kill(signal.SIGTERM)
        assert await worker.wait(within=30) == 0
        await system.start(worker.name)
        await system.ready()
        seen = await user.watch(job)

        assert seen[-1].type == "succeeded", "with budgets of one, any blame would have buried it"
        attempts = (await user.get(job, "/timeline"))["attempts"]
        assert [each["outcome"] for each in attempts] == ["released", "succeeded"]
        assert_attempts_do_not_mix(seen)


@pytest.mark.fault(23)
async def test_a_job_longer_than_the_brokers_ack_timeout_runs_once(tmp_path: Path) -> None:
    """RabbitMQ looks every minute for deliveries older than its timeout, here ten seconds."""
    async with (
        own_rabbitmq(tmp_path, consumer_timeout_ms=10_000) as broker,
        breakable("EDA", tmp_path, RABBITMQ_URL=broker.url) as (_, user),
    ):
        job = await user.echo("a b c d e f g", delay_s=11)

        async with asyncio.timeout(150):
            seen = [each async for each in _patient(user, job)]

        assert seen[-1].type == "succeeded"
        assert [each.type for each in seen].count("started") == 1


async def _patient(user: User, job: object) -> AsyncGenerator[Seen]:
    """Watch for longer than a test's user usually would."""
    after: str | None = None
    while True:
        try:
            async for seen in user.frames(job, after=after):
                after = str(seen.position)
                yield seen
        except TimeoutError:
            continue
        return
