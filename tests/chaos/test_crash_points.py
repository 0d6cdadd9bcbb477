"""A process dies at each named step, at its first or a later pass; what was accepted ends once."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from headrace.testkit.chaos.points import POINTS
from headrace.testkit.chaos.rig import House, Rig, rig
from headrace.testkit.chaos.settings import CRASH_POINT
from headrace.testkit.system import MODES, Mode

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(500)]
JOBS_AT_MOST = 25
# A wish waits for the next dispatcher to start, and for one more where that one dies as it starts. In
# MONOLITH it dies with everybody else, point after point. How long a start takes is the machine's.
CANCELLED_WITHIN_S = {"EDA": 30.0, "MONOLITH": 60.0}
TELLING = {
    "api": ("submit.after_commit",),
    "dispatcher": ("offer.after_send", "claim.after_commit", "record.after_commit"),
    "gpu-worker": ("work.before_ack", "results.before_send"),
}
FAULTS_OF = {"api": (1, 2), "dispatcher": (7, 8, 11, 16), "gpu-worker": (12, 13, 14)}


@pytest.mark.full
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize(
    "role", [pytest.param(role, marks=pytest.mark.fault(*FAULTS_OF[role])) for role in POINTS]
)
async def test_a_process_that_dies_at_any_step_costs_nobody_a_job(
    role: str, nth: int, mode: Mode, house: House, tmp_path: Path
) -> None:
    """Crash points of ADR 0006, all of the role's, first and second pass, under load, in both modes."""
    async with rig(house, tmp_path, mode=mode) as here:
        for point in POINTS[role]:
            await die_at(here, role, f"{point}:{nth}")

        judgement = await here.quiet(cancel_s=CANCELLED_WITHIN_S[mode])

    assert judgement.counts["ended"] == judgement.counts["accepted"]


@pytest.mark.parametrize("mode", ["EDA", pytest.param("MONOLITH", marks=pytest.mark.full)])
@pytest.mark.parametrize("role", TELLING)
async def test_a_process_that_dies_between_two_promises_costs_nobody_a_job(
    role: str, mode: Mode, house: House, tmp_path: Path
) -> None:
    """The most telling of them, for every change."""
    async with rig(house, tmp_path, mode=mode) as here:
        for point in TELLING[role]:
            await die_at(here, role, f"{point}:1")

        await here.quiet(cancel_s=CANCELLED_WITHIN_S[mode])


async def die_at(here: Rig, role: str, point: str) -> None:
    """Bring work until the process dies of it; another takes its place while the work goes on."""
    name = here.playing(role)
    armed = await here.replace(name, **{CRASH_POINT: point})
    here.losses += 1
    async with asyncio.TaskGroup() as group:
        dead = group.create_task(_followed(here, name))
        for number in range(JOBS_AT_MOST):
            if dead.done():
                break
            job = await here.crowd.submit(words=20, delay_s=0.03)
            here.watch(job)
            if number % 3 == 2:
                await here.crowd.cancel(job)
            await asyncio.wait({dead}, timeout=0.5)
        assert await dead == -signal.SIGKILL, f"{armed.name} never came to {point}"


async def _followed(here: Rig, name: str) -> int:
    code = await here.system.processes[name].wait(within=60)
    await here.start(name)
    return code
