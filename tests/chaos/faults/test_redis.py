"""Redis goes, forgets, freezes and fills: what is shown may stop, what is true does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headrace.testkit.chaos.forger import Forger
from headrace.testkit.chaos.handles import lasting, redis_command, redis_full
from headrace.testkit.chaos.rig import House, Rig, rig
from headrace.testkit.own import own_redis

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(150)]


async def streaming(here: Rig, jobs: int = 4, words: int = 60) -> None:
    for _ in range(jobs):
        here.watch(await here.crowd.submit(words=words, delay_s=0.03))
    await here.started(min(jobs, 2))


@pytest.mark.full
async def test_fault_46_redis_comes_back_empty(house: House, tmp_path: Path) -> None:
    """kill -9 and a start, with four streams open."""
    async with rig(house, tmp_path) as here:
        await streaming(here)
        await here.servers["redis"].kill()
        await lasting(1)
        await here.servers["redis"].start()
        await here.recovers()

        judgement = await here.quiet()

    assert judgement.counts["executions"] == 5


@pytest.mark.full
async def test_fault_47_redis_forgets_its_last_second(house: House, tmp_path: Path) -> None:
    """kill -9, the last second of its append-only file cut off, and a start; four streams open."""
    async with (
        own_redis(tmp_path, append_only=True) as redis,
        rig(house.but(redis=redis.url), tmp_path) as here,
    ):
        await streaming(here)
        (written,) = (redis.home / "appendonlydir").glob("*.incr.aof")
        a_second_ago = written.stat().st_size
        await lasting(1)
        await redis.kill()
        assert written.stat().st_size > a_second_ago > 0
        os.truncate(written, a_second_ago)
        await redis.start()
        await here.recovers()

        judgement = await here.quiet()

    assert judgement.counts["executions"] == 5


async def test_fault_48_everything_is_flushed(house: House, tmp_path: Path) -> None:
    """FLUSHALL three times, with four streams open."""
    async with rig(house, tmp_path) as here:
        await streaming(here)
        for _ in range(3):
            await lasting(0.6)
            await redis_command(here.urls["redis"], "FLUSHALL")
        await here.recovers()

        judgement = await here.quiet()

    assert judgement.counts["executions"] == 5


@pytest.mark.full
async def test_fault_49_redis_is_full(house: House, tmp_path: Path) -> None:
    """maxmemory 1 for 4 s: every write is refused."""
    async with rig(house, tmp_path) as here:
        await streaming(here)
        async with redis_full(here.urls["redis"]):
            await lasting(4)
        await here.recovers()

        judgement = await here.quiet()

    assert judgement.counts["executions"] == 5


@pytest.mark.full
async def test_fault_50_redis_freezes(house: House, tmp_path: Path) -> None:
    """SIGSTOP for 30 s: jobs end meanwhile all the same."""
    async with rig(house, tmp_path) as here:
        await streaming(here)
        await here.servers["redis"].pause()
        try:
            await lasting(30)
            assert not (await here.effects()).open_jobs
        finally:
            await here.servers["redis"].resume()
        await here.recovers()

        judgement = await here.quiet()

    assert judgement.counts["executions"] == 5


@pytest.mark.full
@pytest.mark.fault(50)
async def test_half_open_connections_to_redis(house: House, tmp_path: Path) -> None:
    """Half-open: nothing comes back from it for 60 s, and nobody is told; scaled from 5 min."""
    async with rig(house, tmp_path) as here:
        await streaming(here)
        here.redis.turn(hold_down=True)
        await lasting(60)
        assert not (await here.effects()).open_jobs
        here.redis.heal()
        await here.recovers()

        judgement = await here.quiet()

    assert judgement.counts["executions"] == 5


@pytest.mark.full
async def test_fault_51_subscriptions_killed_all_the_time(house: House, tmp_path: Path) -> None:
    """CLIENT KILL TYPE pubsub every 20-80 ms while four jobs stream."""
    async with rig(house, tmp_path) as here:
        await streaming(here)
        for _ in range(60):
            await redis_command(here.urls["redis"], "CLIENT", "KILL", "TYPE", "pubsub")
            await lasting(here.random.uniform(0.02, 0.08))
        await here.recovers()

        await here.quiet()


@pytest.mark.full
async def test_fault_52_an_api_that_freezes(house: House, tmp_path: Path) -> None:
    """SIGSTOP of the api for 60 s, with four streams open."""
    async with rig(house, tmp_path) as here:
        await streaming(here, words=300)
        here.pause("api")
        await lasting(60)
        here.resume("api")
        await here.recovers()

        await here.quiet()


@pytest.mark.full
async def test_fault_53_a_log_that_has_expired(house: House, tmp_path: Path) -> None:
    """Watched only after the log's 5 s are over: a reset with the state, and the end."""
    async with rig(house, tmp_path, env={"STREAM_TTL_S": "5"}) as here:
        job = await here.crowd.submit()
        await here.drained()
        await lasting(7)
        here.watch(job)

        await here.watched()
        judgement = await here.quiet()

    assert judgement.counts["resets"] == 1


@pytest.mark.full
async def test_frames_of_an_attempt_that_is_over(house: House, tmp_path: Path) -> None:
    """A zombie's tokens are refused by the log while the second attempt streams."""
    async with rig(house, tmp_path) as here:
        job = await here.crowd.submit(words=40, delay_s=0.05)
        await here.started()
        here.losses += 1
        await here.replace("gpu-worker")
        await here.started(2)
        here.watch(job)
        verdict = await Forger(here).old_frames(job, 1, unfenced=False)

        await here.quiet()

    assert verdict == "stale"
