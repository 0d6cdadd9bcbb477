"""Measures what a cold slot costs, and what placement saves; `make bench-models` runs it.

First each engine that is installed, in a child of its own: its first job, which loads the model, and the
same again. Then two workers that each have room for two of four models, with placement and without: jobs
that come one after the other, and all at once. Those models hold memory and take `LOAD_S` to load, as from
a disk, so that the machine's processors do not decide.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx

from headrace.contracts.ids import Lane
from headrace.engines.registry import available, card
from headrace.gpu_worker.host import wire
from headrace.gpu_worker.host.keeper import Keeper
from headrace.gpu_worker.host.shelf import Weights
from headrace.gpu_worker.options import LaneOptions, Limits
from headrace.telemetry.logs import configure
from headrace.testkit.client import User
from headrace.testkit.hoarding import LOAD_S, MIB, MODULE
from headrace.testkit.system import System, running
from headrace.testkit.waits import eventually

SMALL: Final[Mapping[str, dict[str, Any]]] = {
    "minilm": {"texts": ["Why is the sky blue?"]},
    "smollm2": {"prompt": "Why is the sky blue?", "max_tokens": 8, "seed": 1},
    "emoji-flow": {"prompt": "a red apple", "seed": 1},
}
WARM_RUNS: Final = 5
MODELS: Final = ("one", "two", "three", "four")
LOAD: Final = 1.0
WORK: Final = 0.2
EVERY: Final = 0.25  # on average, where they come one after the other
ADMIN: Final = "key-of-admin"
SETTINGS: Final[dict[str, Any]] = {
    "ADMIN_KEY": ADMIN, "ALLOW_ANONYMOUS": "true", "LOG_LEVEL": "WARNING",
    "MODEL_MEMORY_MIB": "hoard=20", MIB: "8", LOAD_S: str(LOAD),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one job."""

    took_s: float  # from its submission to its end
    cold: bool


async def main(jobs: int) -> None:
    print("| engine | load s | memory MiB | first job s | warm job s | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for lane, given in SMALL.items():
        await measure_engine(lane, given)
    print("\n| two workers, four models | cold of all | p50 s | p95 s | all done after s |")
    print("| --- | --- | --- | --- | --- |")
    for prefer in ("false", "true"):
        name = "with placement" if prefer == "true" else "first to ask"
        for way in ("one after the other", "all at once"):
            with TemporaryDirectory() as folder:
                settings = SETTINGS | {"PREFER_WARM": prefer}
                async with running("EDA", Path(folder), module=MODULE, **settings) as system:
                    await system.start("gpu-worker@2")
                    await measure_placement(system, f"{name}, {way}", way, jobs)


async def measure_engine(lane: str, given: dict[str, Any]) -> None:
    engine = available().get(Lane(lane))
    if engine is None:
        print(f"| {lane} | is not installed | | | | |")
        return
    keeper = Keeper(LaneOptions(card=card(Lane(lane), engine)), Limits())
    try:
        await keeper.ready(None)
        cold_s = await timed(keeper, engine.models[0], given)
        warm_s = statistics.median(
            [await timed(keeper, engine.models[0], given) for _ in range(WARM_RUNS)]
        )
        (warm,) = keeper.warm
        print(
            f"| `{lane}` | {warm.load_s:.2f} | {warm.memory_bytes / 2**20:.0f} | {cold_s:.2f} "
            f"| {warm_s:.3f} | {cold_s / warm_s:.1f} |"
        )
    finally:
        await keeper.close()


async def timed(keeper: Keeper, model: str, given: dict[str, Any]) -> float:
    """A job on this child, with the load if it needs one."""

    async def unheard(_: wire.Said | wire.Checkpointed) -> None:
        pass

    async def unshown(_: wire.Made) -> None:
        """It makes nothing that would be shown."""

    began = time.monotonic()
    await keeper.ready(Weights(model))
    ended = await keeper.run(lambda run: wire.Run(run, model, 1, given, {}), unheard, unshown)
    assert ended.output is not None, ended.error
    return time.monotonic() - began


async def measure_placement(system: System, name: str, way: str, jobs: int) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=60)
        )
        await eventually(lambda: two_workers(http), within=30)
        random = Random(1)
        wanted = [random.choice(MODELS) for _ in range(jobs)]
        pauses = [random.expovariate(1 / EVERY) if way != "all at once" else 0.0 for _ in wanted]
        began = time.monotonic()
        seen = await all_of(User(http), wanted, pauses)
        report(name, seen, time.monotonic() - began)


async def two_workers(http: httpx.AsyncClient) -> bool:
    answer = await http.get("/admin/workers", headers={"apikey": ADMIN})
    return sum(1 for each in answer.json()["workers"] if each["receives"]) == 2


async def all_of(user: User, wanted: Sequence[str], pauses: Sequence[float]) -> list[Seen]:
    async with asyncio.TaskGroup() as group:
        tasks = []
        for model, pause_s in zip(wanted, pauses, strict=True):
            await asyncio.sleep(pause_s)
            tasks.append(group.create_task(one(user, model)))
    return [task.result() for task in tasks]


async def one(user: User, model: str) -> Seen:
    job = await user.submit("hoard", model=model, input={"seconds": WORK})
    await user.watch(job)
    told = await user.get(job, "/timeline")
    (attempt,) = told["attempts"]
    return Seen(told["total_s"], attempt["stages"]["cold"])


def report(name: str, seen: Sequence[Seen], all_s: float) -> None:
    took = sorted(each.took_s for each in seen)
    cold = sum(each.cold for each in seen)
    p50, p95 = statistics.median(took), took[int(len(took) * 0.95)]
    print(f"| {name} | {cold} of {len(seen)} | {p50:.2f} | {p95:.2f} | {all_s:.1f} |", flush=True)


if __name__ == "__main__":
    configure("bench", level="WARNING", format="console")
    asyncio.run(main(int(sys.argv[1])))
