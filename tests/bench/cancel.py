"""Measures how soon a cancelled job has ended and its slot works again; `make bench-cancel` runs it.

Times are of the store's clock, from the wish to cancel; to each the POST's whole round trip is added,
so that they begin before the first byte was sent and are no smaller than they were. One slot; the
next job waits behind the one that is cancelled. Each time `cancelled` is read, the engine's own ledger
and the table of processes must agree that nothing of the job runs any more.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import httpx
import psutil

from headrace.testkit.chaos.ledger import Execution, read_executions
from headrace.testkit.chaos.rig import BUILD
from headrace.testkit.client import User
from headrace.testkit.system import MODES, Mode, System, running

GRACE_S: Final = 0.5
PATIENCE_S: Final = 60.0
QUICK: Final = {"words": 1, "delay_s": 0.0}
LONG: Final = {"words": 36_000, "delay_s": 0.1}
DEAF: Final = {"words": 1, "delay_s": 3600.0, "fail": "deaf"}


@dataclass(slots=True)
class Bench:
    user: User
    executions: Path
    asked: int = 0
    ended_s: list[float] = field(default_factory=list)
    free_s: list[float] = field(default_factory=list)

    async def submit(self, given: dict[str, Any]) -> Any:
        self.asked += 1
        return await self.user.submit("ledger", input={"key": f"k{self.asked}", **given})

    async def cancel(self, job: Any) -> float:
        """Answers how long the answer took."""
        began = time.monotonic()
        await self.user.cancel(job)
        return time.monotonic() - began

    async def ended(self, job: Any, round_trip_s: float) -> datetime:
        """Notes how soon the job was cancelled; answers when that was asked for."""
        await self.user.watch(job)
        line = await self.user.get(job, "/timeline")
        assert line["state"] == "cancelled", line
        self.ended_s.append(line["cancel_s"] + round_trip_s)
        return datetime.fromisoformat(line["cancel_asked_at"])

    def nothing_runs(self, key: str) -> None:
        runs = [run for run in read_executions(self.executions) if run.key == key]
        assert not any(at_work(run) for run in runs), f"{key} is cancelled, and runs: {runs}"


def at_work(run: Execution) -> bool:
    if run.ended is not None:
        return False
    try:
        return psutil.Process(run.pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


Case: TypeAlias = Callable[[Bench], Coroutine[Any, Any, None]]


async def queued(bench: Bench) -> None:
    """Behind a job that runs, and in the broker or the store as it happens."""
    job = await bench.submit(QUICK)
    await bench.ended(job, await bench.cancel(job))
    bench.nothing_runs(f"k{bench.asked}")


def while_running(given: dict[str, Any]) -> Case:
    async def case(bench: Bench) -> None:
        job = await bench.submit(given)
        key = f"k{bench.asked}"
        await bench.user.until(job, "token")  # the engine is at work
        after = await bench.submit(QUICK)
        round_trip_s = await bench.cancel(job)
        wished_at = await bench.ended(job, round_trip_s)
        bench.nothing_runs(key)
        await bench.user.watch(after)
        (attempt,) = (await bench.user.get(after, "/timeline"))["attempts"]
        free = datetime.fromisoformat(attempt["started_at"]) - wished_at
        bench.free_s.append(free.total_seconds() + round_trip_s)

    return case


async def main(samples: int) -> None:
    cells = "p50 ms | p99 ms | max ms"
    print(f"| {'':50} | {'cancelled':^24} | {'slot has the next job':^24} |")
    print(f"| {f'{samples} of each':50} | {cells} | {cells} |")
    print("|".join(["", "-" * 52, *6 * ["-" * 8], ""]))
    for mode in MODES:
        with TemporaryDirectory() as name:
            folder = Path(name)
            executions = folder / "executions.jsonl"
            async with running(
                mode,
                folder,
                module=BUILD,
                SLOTS="ledger=1",
                CANCEL_GRACE_S=str(GRACE_S),
                LOG_LEVEL="WARNING",
                CHAOS_EXECUTIONS=str(executions),
            ) as system:
                await measure(system, mode, executions, samples)


async def measure(system: System, mode: Mode, executions: Path, samples: int) -> None:
    async with httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=PATIENCE_S) as http:
        user = User(http)
        first = Bench(user, executions)
        blocking = await first.submit({**LONG, "key": "blocks"})
        await user.until(blocking, "token")
        await repeat(f"{mode}: queued", queued, first, samples)
        await user.cancel(blocking)
        await user.watch(blocking)
        for what, given in (
            ("running, the engine looks", LONG),
            (f"running, it does not: killed after {GRACE_S:g} s", DEAF),
        ):
            bench = Bench(user, executions, asked=first.asked)
            await repeat(f"{mode}: {what}", while_running(given), bench, samples)
            first.asked = bench.asked


async def repeat(what: str, case: Case, bench: Bench, samples: int) -> None:
    for _ in range(samples):
        await case(bench)
    print(f"| {what:50} | {cells_of(bench.ended_s)} | {cells_of(bench.free_s)} |", flush=True)


def cells_of(took_s: list[float]) -> str:
    if not took_s:
        return " | ".join(["      "] * 3)
    ms = [1000 * each for each in took_s]
    p99 = statistics.quantiles(ms, n=100, method="inclusive")[98]
    return f"{statistics.median(ms):6.0f} | {p99:6.0f} | {max(ms):6.0f}"


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
