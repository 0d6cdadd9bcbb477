"""PostgreSQL restarts, breaks off in the middle of a word, has no room and no time."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from headrace.testkit.chaos.handles import backends, lasting, locked_jobs, no_connections_left
from headrace.testkit.chaos.rig import House, Rig, rig

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(200)]


async def busy(here: Rig, jobs: int = 10, words: int = 10) -> None:
    for _ in range(jobs):
        here.watch(await here.crowd.submit(words=words, delay_s=0.03))


@pytest.mark.full
async def test_fault_54_a_backend_is_killed(house: House, tmp_path: Path) -> None:
    """kill -9 of one backend, which resets every session, three times in a run of jobs."""
    async with rig(house, tmp_path) as here:
        here.losses += 3
        async with asyncio.TaskGroup() as group:
            group.create_task(busy(here, 15))
            for _ in range(3):
                await lasting(1)
                for pid in (await backends(here.urls["postgres"]))[:1]:
                    os.kill(pid, signal.SIGKILL)
                await lasting(1)
        await here.recovers()

        await here.quiet()


@pytest.mark.full
async def test_fault_55_postgresql_restarts(house: House, tmp_path: Path) -> None:
    """By SIGTERM and a start, then by SIGKILL and a start."""
    async with rig(house, tmp_path) as here:
        here.losses += 2
        async with asyncio.TaskGroup() as group:
            group.create_task(busy(here, 15, words=30))
            await lasting(1)
            await here.servers["postgres"].restart()
            await lasting(2)
            await here.servers["postgres"].kill()
            await here.servers["postgres"].start()
        await here.recovers()

        await here.quiet()


@pytest.mark.full
async def test_fault_57_a_commit_without_an_answer(house: House, tmp_path: Path) -> None:
    """Every half second the next COMMIT reaches the server and its reply is cut, 12 times."""
    async with rig(house, tmp_path) as here:
        here.losses += 2
        async with asyncio.TaskGroup() as group:
            group.create_task(busy(here, 20))
            for _ in range(12):
                here.postgres.turn(cut_after=b"COMMIT")
                await lasting(0.5)
        here.postgres.heal()
        await here.recovers()

        judgement = await here.quiet()

    assert here.postgres.cuts >= 6
    assert judgement.counts["accepted"] == 21


@pytest.mark.full
async def test_fault_58_no_connections_left(house: House, tmp_path: Path) -> None:
    """Every one is taken for 8 s, those in use are broken off."""
    async with rig(house, tmp_path) as here:
        await busy(here, 4, words=60)
        here.losses += 1
        async with (
            no_connections_left(here.urls["postgres"]) as taken,
            asyncio.TaskGroup() as group,
        ):
            assert taken > 20
            group.create_task(busy(here, 4))
            await lasting(8)
            group.create_task(lasting(0))
        await here.recovers()

        await here.quiet()


@pytest.mark.full
async def test_fault_59_a_long_lock(house: House, tmp_path: Path) -> None:
    """LOCK TABLE jobs for 30 s."""
    async with rig(house, tmp_path) as here:
        await busy(here, 4, words=60)
        here.losses += 1
        async with asyncio.TaskGroup() as group, locked_jobs(here.urls["postgres"]):
            group.create_task(busy(here, 4))
            await lasting(8)
        await here.recovers()

        await here.quiet()


@pytest.mark.full
async def test_fault_20_the_database_cannot_be_reached(house: House, tmp_path: Path) -> None:
    """Open connections swallow everything for 7 s (api and dispatcher; a worker has none)."""
    async with rig(house, tmp_path) as here:
        await busy(here, 4, words=100)
        here.losses += 1
        here.postgres.black_hole()
        async with asyncio.TaskGroup() as group:
            group.create_task(busy(here, 4))
            await lasting(7)
            here.postgres.heal()
        await here.recovers()

        await here.quiet()


@pytest.mark.full
async def test_fault_61_slow_and_lossy_links(house: House, tmp_path: Path) -> None:
    """100 ms +- 60 each way, 0.5 % of pieces reset, all three links, 20 jobs; scaled from 300 ms, 1 %."""
    async with rig(house, tmp_path, env={"LEASE_S": "10"}) as here:
        here.losses += 10
        for proxy in (here.rabbitmq, here.redis, here.postgres):
            proxy.turn(latency_s=0.1, jitter_s=0.06, reset_chance=0.005)
        await busy(here, 20)
        await lasting(10)
        for proxy in (here.rabbitmq, here.redis, here.postgres):
            proxy.heal()
        await here.recovers()

        await here.quiet()


@pytest.mark.full
async def test_fault_62_everything_is_cut_from_everything(house: House, tmp_path: Path) -> None:
    """All three links swallow everything for 60 s, then heal; no job is charged a loss."""
    async with rig(house, tmp_path, env={"LEASE_S": "10"}) as here:
        await busy(here, 6, words=60)
        here.losses += 1
        for proxy in (here.rabbitmq, here.redis, here.postgres):
            proxy.black_hole()
        await lasting(60)
        for proxy in (here.rabbitmq, here.redis, here.postgres):
            proxy.heal()
        await here.recovers()
        await busy(here, 2)

        await here.quiet()
        assert not any(row.losses for row in (await here.effects()).jobs)
