"""One soak: calm, then faults, then quiet; read all the while, and judged in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from headrace.testkit.chaos.checker import Judgement
from headrace.testkit.chaos.nemesis import Step, torment
from headrace.testkit.chaos.rig import House, Rig, rig
from headrace.testkit.chaos.settings import KEEP_S, VITALS
from headrace.testkit.chaos.vitals import read_vitals
from headrace.testkit.own import postgres_daemon, rabbitmq_daemon, redis_daemon
from headrace.testkit.soak.load import Load, rare_faults
from headrace.testkit.soak.readings import Readings
from headrace.testkit.soak.verdicts import PROCESSES, Verdict, verdicts
from headrace.testkit.waits import eventually

ROLES: Final = ("api", "dispatcher", "dispatcher@2", "gpu-worker", "gpu-worker@2")
ACK_WITHIN_MS: Final = (
    10_000  # the broker's patience; the long jobs run three to nine times as long
)
LEASE_S: Final = 10  # the rig's own is for faults that end within seconds, not for a busy machine
KEPT_S: Final = 120.0
STREAMS_KEPT_S: Final = 30
PURGE_EVERY_S: Final = 78.0  # at the latest
CALM: Final = 0.2  # of the run, before the first fault
SETTLED: Final = 0.5  # of the run, until memory is level
DRAINED_WITHIN_S: Final = 300.0  # the longest job, begun last and lost once
SEEN_WITHIN_S: Final = 60.0
HEAL_S: Final = 30.0  # without faults, at the end
ENV: Final = {
    "SLOTS": "ledger=4",
    "LEASE_S": str(LEASE_S),
    "STREAM_TTL_S": str(STREAMS_KEPT_S),
    "RETRY_LOSSES": "8",  # poison is buried soon, and a long job outlives its faults
    KEEP_S: str(KEPT_S),
    "LOG_LEVEL": "WARNING",
}


@dataclass(slots=True)
class Soaked:
    """Everything that a run has found."""

    seed: int
    seconds: float
    steps: list[Step]
    verdicts: list[Verdict]
    late_ms: dict[str, list[float]]  # by process: how late its loop woke up
    first_token_s: list[tuple[float, float]]
    unsent_s: list[float]
    judgement: Judgement
    drained_s: float
    keys_left: int
    broken: list[str] = field(default_factory=list)

    @property
    def calm_s(self) -> float:
        return CALM * self.seconds


async def soak(folder: Path, *, seed: int, seconds: float) -> Soaked:
    async with a_house(folder) as house:
        env = {**ENV, VITALS: str(folder)}
        async with rig(house, folder, roles=ROLES, seed=seed, env=env) as here:
            return await _soaked(here, house, folder, seconds, seed)


@asynccontextmanager
async def a_house(folder: Path) -> AsyncGenerator[House]:
    house = House(
        rabbitmq_daemon(folder, consumer_timeout_ms=ACK_WITHIN_MS),
        redis_daemon(folder),
        postgres_daemon(folder),
    )
    await asyncio.to_thread(house.open)
    try:
        yield house
    finally:
        await asyncio.to_thread(house.close)


async def _soaked(here: Rig, house: House, folder: Path, seconds: float, seed: int) -> Soaked:
    steps = rare_faults(here, CALM * seconds, seconds - HEAL_S)
    readings = Readings(here, house.rabbitmq.home / "mnesia")
    load = Load(here)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(readings.go_on())
        async with asyncio.TaskGroup() as busy:
            busy.create_task(load.go_on(seconds))
            busy.create_task(torment(here, steps))
        drained_s, stuck = await _quiet(here, load)
        keys_left = await _keys_left(here)
        reading.cancel()
    judgement = await here.judged(
        complete=readings.archive.with_all_of, cancel_s=60.0, retry_cap_s=600.0
    )
    late_ms = _vitals(here, folder, readings)
    return Soaked(
        seed=seed,
        seconds=seconds,
        steps=steps,
        verdicts=verdicts(
            readings.until(seconds),
            warm_from_s=max(CALM * seconds, KEPT_S + PURGE_EVERY_S),
            settled_from_s=SETTLED * seconds,
        ),
        late_ms=late_ms,
        first_token_s=load.first_token_s,
        unsent_s=[value for _, value in readings.series["outbox: oldest not offered"]],
        judgement=judgement,
        drained_s=drained_s,
        keys_left=keys_left,
        broken=[
            *stuck,
            *judgement.broken,
            *([f"Redis still has {keys_left} keys"] if keys_left else []),
        ],
    )


async def _quiet(here: Rig, load: Load) -> tuple[float, list[str]]:
    """How long until all had ended and was seen to its end; or what did not come to an end."""
    began = asyncio.get_running_loop().time()
    try:
        await here.drained(within=DRAINED_WITHIN_S)
        await eventually(lambda: load.watching == 0, within=SEEN_WITHIN_S, every=0.1)
    except AssertionError as late:
        return asyncio.get_running_loop().time() - began, [str(late)]
    return asyncio.get_running_loop().time() - began, []


async def _keys_left(here: Rig) -> int:
    """Once everything in it is older than it is kept."""
    async with Redis.from_url(here.urls["redis"]) as client:

        async def none() -> bool:
            return await client.dbsize() == 0

        try:
            await eventually(none, within=STREAMS_KEPT_S + 10, every=1)
        except AssertionError:
            return int(await client.dbsize())
    return 0


def _vitals(here: Rig, folder: Path, readings: Readings) -> dict[str, list[float]]:
    """Adds the number of tasks to the series; answers how late each loop woke up."""
    late_ms: dict[str, list[float]] = {}
    for name in PROCESSES:
        lines = read_vitals(folder, here.system.processes[name].process.pid)
        readings.series[f"{name}: tasks"] = [
            (line.at - readings.began, line.tasks) for line in lines
        ]
        late_ms[name] = [late for line in lines for late in line.late_ms]
    return late_ms
