"""Measures what doing several jobs in one go is worth; `make bench-batching` runs it.

Two workers with one child each and the same engine, minilm on one thread: one does jobs one by one, the
other up to 16 in one go. They take turns, round by round, at bursts of jobs that all wait, and at single
jobs that come when nothing else does. What the machine does beside them slows both, so the ratios are the
figures to look at; the processor time of the children is theirs alone.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Final

import psutil

from headrace.adapters.bus.inprocess.bus import InProcessBus
from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.contracts.ids import Lane, WorkerId
from headrace.contracts.topology import Topology
from headrace.engines.batches import batching
from headrace.engines.embedding.minilm import MiniLmEngine
from headrace.engines.registry import card
from headrace.gpu_worker.options import LaneOptions, WorkerOptions
from headrace.gpu_worker.role import Worker
from headrace.telemetry.logs import configure
from headrace.testkit.background import served
from headrace.testkit.dispatching import ScriptedDispatcher
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.waits import eventually

LANE: Final = Lane("minilm")
MODEL: Final = MiniLmEngine.models[0]
ROUNDS: Final = 8
SINGLES: Final = 10  # a round
TEXTS: Final = {
    "8 tokens": "water turns the large wheel here",
    "32 tokens": "water turns the large wheel here " * 5,
}


@dataclass(slots=True)
class Bench:
    """One worker, and how it did."""

    dispatcher: ScriptedDispatcher
    children: list[psutil.Process]
    numbers: count[int] = field(default_factory=lambda: count(1))
    jobs_a_s: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    alone_ms: list[float] = field(default_factory=list)

    def forget(self) -> None:
        for each in (self.jobs_a_s, self.cpu_ms, self.alone_ms):
            each.clear()

    async def burst(self, jobs: int, text: str) -> None:
        names = [f"job-{next(self.numbers)}" for _ in range(jobs)]
        before_s, began = self._cpu_s(), monotonic()
        for name in names:
            await self.dispatcher.offer(name, LANE, model=MODEL, texts=[text])
        await self._all_done(names)
        self.jobs_a_s.append(jobs / (monotonic() - began))
        self.cpu_ms.append(1000 * (self._cpu_s() - before_s) / jobs)

    async def singles(self, jobs: int, text: str) -> None:
        """How long each was in the worker, from its claim to its result."""
        for _ in range(jobs):
            name = f"job-{next(self.numbers)}"
            await self.dispatcher.offer(name, LANE, model=MODEL, texts=[text])
            result = await self.dispatcher.result(name, within=60)
            stages = result.stages
            took_s = stages.claim_s + stages.load_s + stages.run_s + stages.store_s
            self.alone_ms.append(1000 * took_s)

    async def _all_done(self, names: list[str]) -> None:
        wanted = set(names)
        await eventually(
            lambda: wanted <= {result.job for result in self.dispatcher.results}, within=120
        )
        assert all(result.outcome == "succeeded" for result in self.dispatcher.results)
        self.dispatcher.results.clear()

    def _cpu_s(self) -> float:
        return sum(times.user + times.system for times in (c.cpu_times() for c in self.children))


async def main(jobs: int) -> None:
    heads = ("jobs/s", "child's CPU, ms a job", "one alone, ms")
    print(f"| {'':10} | {' | '.join(f'{head:^28}' for head in heads)} |")
    print(f"| {'':10} | {' | '.join(['off    | on     | on/off'] * 3)} |")
    print("|".join(["", "-" * 12, *["-" * 8, "-" * 8, "-" * 8] * 3, ""]))
    async with benched(slots=1) as off, benched(slots=batching(MiniLmEngine).most) as on:
        for what, text in TEXTS.items():
            for bench in (off, on):
                await bench.burst(jobs, text)  # to warm up
                bench.forget()
            for _ in range(ROUNDS):
                for bench in (off, on):
                    await bench.burst(jobs, text)
                    await bench.singles(SINGLES, text)
            print(f"| {what:10} | {cells(off, on)} |", flush=True)


def cells(off: Bench, on: Bench) -> str:
    pairs = [(off.jobs_a_s, on.jobs_a_s), (off.cpu_ms, on.cpu_ms), (off.alone_ms, on.alone_ms)]
    medians = [(statistics.median(without), statistics.median(with_)) for without, with_ in pairs]
    return " | ".join(f"{a:6.1f} | {b:6.1f} | {b / a:6.2f}" for a, b in medians)


@asynccontextmanager
async def benched(*, slots: int) -> AsyncGenerator[Bench]:
    topology, numbers, declared = Topology("bench"), count(1), batching(MiniLmEngine)
    lane = LaneOptions(
        card=card(LANE, MiniLmEngine),
        slots=slots,
        preload=MODEL,
        batch_most=declared.most,
        batch_window_s=declared.window_s,
    )
    options = WorkerOptions(
        bus=InProcessBus(topology),
        streams=InProcessStreams(),
        blobs=MemoryBlobs(),
        topology=topology,
        worker=WorkerId(f"worker-{slots}"),
        lanes=[lane],
        new_id=lambda: f"id-{next(numbers)}",
    )
    dispatcher = ScriptedDispatcher(options.bus, options.streams, options.topology)
    others = set(psutil.Process().children())
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(served(dispatcher.serve))
        await stack.enter_async_context(served(Worker(options).serve))
        await eventually(lambda: any(h.slots.get(LANE) == slots for h in dispatcher.hellos))
        yield Bench(dispatcher, [c for c in psutil.Process().children() if c not in others])


if __name__ == "__main__":
    configure("bench", level="ERROR", format="console")
    asyncio.run(main(int(sys.argv[1])))
