"""Processes that die, freeze, are cut off or are asked to leave."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from headrace.testkit.chaos.forger import Forger, a_ledger_job
from headrace.testkit.chaos.handles import lasting
from headrace.testkit.chaos.proxy import Proxy
from headrace.testkit.chaos.rig import LEASE_S, House, Rig, rig
from headrace.testkit.chaos.settings import WILD_CLOCK
from headrace.testkit.system import ROLES

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(150)]
TWO_WORKERS = ("api", "dispatcher", "gpu-worker", "gpu-worker@2")


async def busy(here: Rig, jobs: int = 10, **given: Any) -> None:
    """Jobs with watchers, some of them cancelled, for a few seconds."""
    for number in range(jobs):
        job = await here.crowd.submit(**{"words": 15, "delay_s": 0.03, **given})
        here.watch(job)
        if number % 5 == 4:
            await here.crowd.cancel(job)


@pytest.mark.full
async def test_fault_3_an_api_killed_while_it_streams(house: House, tmp_path: Path) -> None:
    """kill -9 with 10 streams open."""
    async with rig(house, tmp_path) as here:
        await busy(here, 10, words=60)
        await here.started()
        await here.replace("api")

        await here.quiet()


@pytest.mark.full
async def test_fault_9_three_dispatchers_at_once(house: House, tmp_path: Path) -> None:
    """30 jobs; no job runs twice without a fault."""
    roles = ("api", "dispatcher", "dispatcher@2", "dispatcher@3", "gpu-worker", "gpu-worker@2")
    async with rig(house, tmp_path, roles=roles) as here:
        await busy(here, 30, words=3)

        judgement = await here.quiet()

    assert judgement.counts["run again"] == 0


@pytest.mark.full
async def test_fault_10_a_transaction_that_commits_late(house: House, tmp_path: Path) -> None:
    """A later job is accepted, run and done while the earlier one's insert is held open."""
    async with rig(house, tmp_path) as here:
        new = a_ledger_job("late", "local")
        here.ledger.write("intent", key="late")
        async with Forger(here).store() as store, store.begin() as tx:
            await tx.insert([new])
            await busy(here, 3)
            await here.drained()
        here.ledger.write("accepted", key="late", job=new.job.id)

        await here.quiet()


@pytest.mark.full
async def test_fault_15_a_worker_killed_mid_tokens(house: House, tmp_path: Path) -> None:
    """kill -9 of the worker with its engine processes, twice."""
    async with rig(house, tmp_path) as here:
        await busy(here, 4, words=60)
        for runs in (1, 3):
            await here.started(runs)
            here.losses += 1
            await here.replace("gpu-worker")

        await here.quiet()


@pytest.mark.full
async def test_fault_17_an_engine_process_crashes(house: House, tmp_path: Path) -> None:
    """One exits mid-job, one is killed with SIGKILL from outside; neighbours run once."""
    async with rig(house, tmp_path) as here:
        await here.crowd.submit(fail="crash")
        await busy(here, 6)
        victim = await here.crowd.submit(words=80, delay_s=0.05)
        here.watch(victim)
        await here.runs(victim)
        worker = psutil.Process(here.system.processes["gpu-worker"].process.pid)
        here.losses += 1
        for child in worker.children():
            child.kill()

        await here.quiet()


async def test_fault_18_a_worker_frozen_longer_than_its_lease(house: House, tmp_path: Path) -> None:
    """SIGSTOP of the worker and its children for two leases, beside another that takes over."""
    async with rig(house, tmp_path, roles=TWO_WORKERS) as here:
        await busy(here, 6, words=60)
        await here.started(4)
        here.losses += 1
        here.pause("gpu-worker")
        await lasting(2 * LEASE_S)
        here.resume("gpu-worker")

        await here.quiet()


@pytest.mark.full
async def test_fault_19_a_worker_whose_loop_is_blocked(house: House, tmp_path: Path) -> None:
    """SIGSTOP of the worker alone for two leases; its engines run on."""
    async with rig(house, tmp_path, roles=TWO_WORKERS) as here:
        await busy(here, 6, words=100)
        await here.started(4)
        here.losses += 1
        here.system.processes["gpu-worker"].kill(signal.SIGSTOP)
        await lasting(2 * LEASE_S)
        here.system.processes["gpu-worker"].kill(signal.SIGCONT)

        await here.quiet()


@pytest.mark.full
@pytest.mark.parametrize("role", ROLES)
async def test_fault_63_a_wall_clock_that_jumps(role: str, house: House, tmp_path: Path) -> None:
    """One process's `time.time` jumps +-1 h and +-1 day every 2 s and gains 5 %; ruff bans asking it."""
    async with rig(house, tmp_path) as here:
        await here.end(role, signal.SIGTERM)
        await here.start(role, **{WILD_CLOCK: "1"})
        await busy(here, 4, words=100)
        await here.drained()
        await busy(here, 5)

        judgement = await here.quiet()
        stamps = [json.loads(line)["timestamp"] for line in here.system.logs().splitlines()]

    assert judgement.counts["run again"] == 0
    assert len({stamp[:13] for stamp in stamps}) > 1, "its clock was as right as the others'"


@pytest.mark.full
async def test_fault_64_all_workers_suspended(house: House, tmp_path: Path) -> None:
    """Two workers with their children, for two leases."""
    async with rig(house, tmp_path, roles=TWO_WORKERS) as here:
        await busy(here, 8, words=60)
        await here.started(4)
        here.losses += 1
        for name in ("gpu-worker", "gpu-worker@2"):
            here.pause(name)
        await lasting(2 * LEASE_S)
        for name in ("gpu-worker", "gpu-worker@2"):
            here.resume(name)

        await here.quiet()


@pytest.mark.parametrize(
    "server",
    [
        pytest.param("RABBITMQ_URL", marks=pytest.mark.fault(21)),
        pytest.param("REDIS_URL", marks=pytest.mark.fault(22)),
    ],
)
@pytest.mark.full
async def test_a_worker_cut_from_one_server(server: str, house: House, tmp_path: Path) -> None:
    """A proxy of the worker's own swallows everything for two leases."""
    async with rig(house, tmp_path) as here, Proxy(here.system.env[server]).serving() as cut:
        await here.replace("gpu-worker", **{server: cut.url})
        await here.system.ready()
        await busy(here, 4, words=100)
        await here.started(2)
        here.losses += 1 if server == "RABBITMQ_URL" else 0
        cut.black_hole()
        await lasting(2 * LEASE_S)
        cut.heal()
        await here.drained()
        await here.quiet()
        await here.end("gpu-worker", signal.SIGTERM)


@pytest.mark.full
async def test_fault_65_every_process_asked_to_leave_under_load(
    house: House, tmp_path: Path
) -> None:
    """SIGTERM one by one, each replaced at once; no attempt is lost and none charged."""
    async with rig(house, tmp_path, env={"RETRY_LOSSES": "1"}) as here:
        async with asyncio.TaskGroup() as group:
            group.create_task(busy(here, 25))
            for name in ("gpu-worker", "dispatcher", "api"):
                left = await here.end(name, signal.SIGTERM)
                assert left.process.returncode == 0
                await here.start(name)

        await here.quiet()


@pytest.mark.full
async def test_fault_66_a_worker_killed_while_it_drains(house: House, tmp_path: Path) -> None:
    """SIGTERM, and SIGKILL before the drain is over."""
    async with rig(house, tmp_path) as here:
        await busy(here, 4, words=100)
        await here.started(2)
        here.losses += 1
        here.system.processes["gpu-worker"].kill(signal.SIGTERM)
        await lasting(1)
        await here.replace("gpu-worker")

        await here.quiet()
