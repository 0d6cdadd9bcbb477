"""Work at a steady pace that two cores carry with room: mostly short, some long, some that goes wrong."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.testkit.chaos.nemesis import FAULTS_IN, Step
from headrace.testkit.chaos.rig import Rig
from headrace.testkit.client import Seen

PACE_S: Final = (0.3, 0.7)
SHORT: Final = {"words": 10, "delay_s": 0.02}
LONG_S: Final = (30.0, 90.0)
SEEN_WITHIN_S: Final = 900.0  # the longest job, some faults in it, and a drain
GAP_S: Final = (60.0, 120.0)
LASTS_S: Final = (0.5, 6.0)
# Whom the slopes are taken of lives from the first minute to the last; the others are killed.
SPARED: Final = frozenset(
    {"kill api", "kill dispatcher", "kill worker", "stop dispatcher", "stop worker"}
)


@dataclass(slots=True)
class Load:
    """Every hundredth and thousandth job has its part, so that a run of minutes has them all."""

    rig: Rig
    first_token_s: list[tuple[float, float]] = field(default_factory=list)  # asked at, took
    asked: int = 0
    watching: int = 0
    _began: float = field(default_factory=time.monotonic)

    async def go_on(self, seconds: float) -> None:
        """For so long, and then until every request of it has its answer."""
        until = self._began + seconds
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < until:
                self.asked += 1
                group.create_task(self._one(self.asked))
                await asyncio.sleep(self.rig.random.uniform(*PACE_S))

    async def _one(self, number: int) -> None:
        began = time.monotonic()
        job = await self.rig.crowd.submit(**self._given(number))
        if number % 2 == 0:
            self.watching += 1
            self.rig.watchers.create_task(self._watch(job, began))
        if number % 20 == 7:  # 5 %, every other long job among them
            await asyncio.sleep(self.rig.random.uniform(0, 2))
            await self.rig.crowd.cancel(job)

    def _given(self, number: int) -> dict[str, Any]:
        if number % 1000 == 50:  # poison: it takes every child with it
            return {**SHORT, "fail": "crash", "fail_attempts": 1000}
        if number % 40 == 13:
            return {**SHORT, "fail": "transient"}
        if number % 40 == 33:
            return {**SHORT, "fail": "input"}
        if number % 50 == 7:  # 2 %
            return {"words": int(self.rig.random.uniform(*LONG_S)), "delay_s": 1.0}
        return SHORT

    async def _watch(self, job: str, began: float) -> None:
        took: list[float] = []

        def heard(seen: Seen) -> None:
            if seen.type == "token" and not took:
                took.append(time.monotonic() - began)
                self.first_token_s.append((began - self._began, took[0]))

        await self.rig.crowd.watch(job, within=SEEN_WITHIN_S, heard=heard)
        self.watching -= 1


def rare_faults(rig: Rig, from_s: float, until_s: float) -> list[Step]:
    """One every minute or two, by the seed."""
    names = sorted(FAULTS_IN["EDA"].keys() - SPARED)
    steps: list[Step] = []
    now = from_s
    while now < until_s:
        steps.append(Step(now, rig.random.choice(names), rig.random.uniform(*LASTS_S)))
        now += rig.random.uniform(*GAP_S)
    return steps
