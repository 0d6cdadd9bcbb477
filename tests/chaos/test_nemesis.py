"""Random faults for a while, then calm: the ledgers must agree. `make chaos SEED=7 MINUTES=3 MODE=EDA`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from headrace.testkit.chaos.nemesis import plan, torment
from headrace.testkit.chaos.rig import House, rig, supervised
from headrace.testkit.chaos.workload import mixed_load
from headrace.testkit.system import Mode

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(3600)]
ROLES: Mapping[Mode, Sequence[str]] = {
    "EDA": ("api", "dispatcher", "dispatcher@2", "gpu-worker", "gpu-worker@2"),
    "MONOLITH": ("all",),
}


async def test_whatever_the_nemesis_does_nothing_is_lost(
    house: House, tmp_path: Path, mode: Mode, seed: int, seconds: float
) -> None:
    steps = plan(seed, seconds, mode)
    print(f"\n{mode}, seed {seed}, {seconds:g} s, {len(steps)} faults")
    for step in steps:
        print(f"  {step.at_s:6.1f} s  {step.fault} ({step.lasts_s:.1f} s)")

    async with (
        rig(house, tmp_path, mode=mode, roles=ROLES[mode], seed=seed) as here,
        supervised(here),
    ):
        async with asyncio.TaskGroup() as group:
            group.create_task(mixed_load(here, seconds))
            await torment(here, steps)
        took_s = await here.drained(within=120)
        judgement = await here.judged(cancel_s=60.0)

    print(f"quiet {took_s:.1f} s after the last fault: {judgement.counts}")
    assert judgement.broken == []
    assert judgement.counts["ended"] == judgement.counts["accepted"]
