"""The mode is switched with work in flight, switched back, or both modes run: nobody loses a job."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any, Final

import pytest

from headrace.core.ports.paths import DISTRIBUTED, LOCAL
from headrace.testkit.chaos.clients import Crowd
from headrace.testkit.chaos.rig import House, Rig, rig
from headrace.testkit.system import ROLES, free_port
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(300)]
MONOLITH: Final = {"EXECUTION_MODE": "MONOLITH"}
CANCELLED_WITHIN_S: Final = 60.0  # a wish waits until somebody serves its path
TAKEN_OVER: Final = '"paths.changed"'


async def busy(here: Rig, jobs: int, crowd: Crowd | None = None, **given: Any) -> None:
    """Jobs of which every third is watched and every tenth cancelled; some are being run."""
    crowd = crowd or here.crowd
    for number in range(jobs):
        job = await crowd.submit(**{"words": 5, "delay_s": 0.02, **given})
        if number % 3 == 0:
            here.watch(job)
        if number % 10 == 9:
            await crowd.cancel(job)


async def to_monolith(here: Rig, how: signal.Signals) -> None:
    for name in reversed(ROLES):  # workers first, as one would stop it by hand
        await here.end(name, how)
    await here.start("all", **MONOLITH)


async def to_eda(here: Rig, how: signal.Signals) -> None:
    await here.end("all", how)
    for name in ROLES:
        await here.start(name)


def says_taken_over(here: Rig, process: str) -> bool:
    return TAKEN_OVER in here.system.processes[process].log.read_text()


async def test_fault_68_eda_becomes_monolith(house: House, tmp_path: Path) -> None:
    """60 jobs queued and running, SIGTERM to every process, MONOLITH on the same store; no hand."""
    async with rig(house, tmp_path) as here:
        await here.crowd.submit_at_once(copies=2)
        await busy(here, 60)
        await to_monolith(here, signal.SIGTERM)
        here.broker_left = True
        await busy(here, 10)
        await here.crowd.repeat("k1", copies=2)

        judgement = await here.quiet(cancel_s=CANCELLED_WITHIN_S)

        paths = [row.path for row in (await here.effects()).jobs]

    assert judgement.counts["ended"] == judgement.counts["accepted"] == 71
    assert paths == [DISTRIBUTED] * 61 + [LOCAL] * 10, "where a job was accepted is kept"


@pytest.mark.full
async def test_fault_68_eda_killed_becomes_monolith(house: House, tmp_path: Path) -> None:
    """200 jobs queued and running, kill -9 of every process, MONOLITH on the same store"""
    async with rig(house, tmp_path) as here:
        await busy(here, 200)
        here.losses += 1
        await to_monolith(here, signal.SIGKILL)
        here.broker_left = True

        judgement = await here.quiet(cancel_s=CANCELLED_WITHIN_S)

    assert judgement.counts["ended"] == judgement.counts["accepted"] == 200


@pytest.mark.full
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_fault_69_switched_back_before_the_first_switch_has_drained(
    how: signal.Signals, house: House, tmp_path: Path
) -> None:
    """EDA, MONOLITH and EDA again, by SIGTERM and by kill -9, with jobs of both left over"""
    async with rig(house, tmp_path) as here:
        await busy(here, 30)
        await busy(here, 20, words=40, delay_s=0.05)  # work for longer than MONOLITH is there
        here.losses += 2 if how is signal.SIGKILL else 0
        await to_monolith(here, how)
        await eventually(lambda: says_taken_over(here, "all"), within=60)
        await busy(here, 20)
        left = {row.path for row in (await here.effects()).open_jobs}
        await to_eda(here, how)

        judgement = await here.quiet(cancel_s=CANCELLED_WITHIN_S)

    assert left == {LOCAL, DISTRIBUTED}
    assert judgement.counts["ended"] == judgement.counts["accepted"] == 70


async def test_fault_70_both_modes_at_once(house: House, tmp_path: Path) -> None:
    """40 jobs to each api at the same time; each side runs its own, once; cancels go crosswise."""
    async with rig(house, tmp_path) as here:
        port = free_port()
        await here.start("all", **MONOLITH, PORT=str(port))
        async with here.crowd_at(f"http://127.0.0.1:{port}", "m") as others:
            async with asyncio.TaskGroup() as group:
                group.create_task(busy(here, 40))
                group.create_task(busy(here, 40, others))
            long = await others.submit(words=200, delay_s=0.05)
            here.watch(long)
            await here.runs(long, others)
            await here.crowd.cancel(long)

            await here.drained()
            await others.see_ends()
            judgement = await here.quiet()
        effects = await here.effects()

    assert judgement.counts["ended"] == judgement.counts["accepted"] == 81
    assert judgement.counts["run again"] == 0
    sides = {"k": DISTRIBUTED, "m": LOCAL}
    assert all(row.path == sides[row.key[0]] for row in effects.jobs)
    pids = {DISTRIBUTED: pid_of(here, "gpu-worker"), LOCAL: pid_of(here, "all")}
    path = {row.id: row.path for row in effects.jobs}
    assert all(pids[path[each.job]] in each.worker for each in effects.attempts)


def pid_of(here: Rig, name: str) -> str:
    return f"-{here.system.processes[name].process.pid}-"


@pytest.mark.full
@pytest.mark.parametrize("gone", ["all", "dispatcher"])
async def test_fault_70_one_of_both_modes_goes_for_a_while(
    gone: str, house: House, tmp_path: Path
) -> None:
    """kill -9 of either side's dispatcher; the other serves its jobs until it is back."""
    async with rig(house, tmp_path) as here:
        port = free_port()
        other = {**MONOLITH, "PORT": str(port)}
        await here.start("all", **other)
        async with here.crowd_at(f"http://127.0.0.1:{port}", "m") as others:
            async with asyncio.TaskGroup() as group:
                group.create_task(busy(here, 20))
                group.create_task(busy(here, 20, others))
            for crowd in (here.crowd, others):  # more than is done before the kill
                await busy(here, 10, crowd, words=60, delay_s=0.05)
            here.losses += 1
            await here.end(gone)
            left = "dispatcher" if gone == "all" else "all"
            await eventually(lambda: says_taken_over(here, left), within=60)
            await here.start(gone, **(other if gone == "all" else {}))

            await here.drained()
            await others.see_ends()
            judgement = await here.quiet(cancel_s=CANCELLED_WITHIN_S)

    assert judgement.counts["ended"] == judgement.counts["accepted"] == 60
