"""Measures what counting a batch costs: ends a second of jobs of one batch, beside such of jobs of none; `make bench-counting` runs it.

Both kinds wait in one store, held by a worker. Each round records results of both, one kind after the
other, from so many dispatchers at once and so many results to a message; who comes first alternates. The
machine's other work slows both, so the ratio is the figure to look at: the median of the rounds' own.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from headrace.adapters.store.sql import SqlStore, migrate, open_sql_store
from headrace.contracts.ids import JobId
from headrace.core.batch import Batch, job_of_item
from headrace.core.job import Job
from headrace.core.ports.store import NewJob
from headrace.core.usecases.claim import claim
from headrace.core.usecases.record import record
from headrace.testkit import infra
from headrace.testkit.builders import a_job
from headrace.testkit.deciding import ECHO, LEASE, PATH, POLICY, WORKER, a_claim, a_result
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.running_batches import GOOD, TENANT, hand_in, look, turn

ROUNDS: Final = 12
A_ROUND: Final = 192  # ends of each kind: what every pair of the below divides
STEP: Final = 96
CASES: Final = {  # dispatchers at once, results to a message
    "sqlite": ((1, 1), (1, 16)),
    "postgresql": ((1, 1), (1, 16), (4, 1), (4, 16)),
}


@dataclass(slots=True)
class Side:
    """Jobs that a worker holds, and how soon some of them ended."""

    jobs: list[Job] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)

    async def end(self, store: SqlStore, dispatchers: int, at_once: int) -> None:
        ending, self.jobs = self.jobs[:A_ROUND], self.jobs[A_ROUND:]
        assert len(ending) == A_ROUND
        messages = [ending[n : n + at_once] for n in range(0, A_ROUND, at_once)]
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for nth in range(dispatchers):
                group.create_task(ended(store, messages[nth::dispatchers]))
        self.took_s.append(time.perf_counter() - began)


async def ended(store: SqlStore, messages: Sequence[Sequence[Job]]) -> None:
    for jobs in messages:
        results = [a_result(job, output={"text": "a"}) for job in jobs]
        told = await record(store, results, policy=POLICY, random=Random(1))
        assert len(told.moved) == len(jobs)


async def main(rounds: int) -> None:
    head = f"{f'{rounds} rounds of {A_ROUND} ends':38}"
    print(f"| {head} | {'of no batch':^13} | {'of one batch':^13} | ratio |")
    print("|".join(["", "-" * 40, "-" * 15, "-" * 15, "-" * 7, ""]))
    for name, cases in CASES.items():
        for dispatchers, at_once in cases:
            async with opened(name, dispatchers) as store:
                what = f"{name}: {dispatchers} dispatchers, {at_once} a message"
                await compare(what, store, dispatchers, at_once, rounds)


async def compare(what: str, store: SqlStore, dispatchers: int, at_once: int, rounds: int) -> None:
    loose, blobs = Side(), MemoryBlobs()
    counted = Side()
    total = (rounds + 1) * A_ROUND
    batch = await hand_in(store, blobs, [GOOD] * total)
    await fill(store, blobs, batch, loose, counted, total)
    for nth in range(rounds + 1):
        for side in (loose, counted) if nth % 2 else (counted, loose):
            await side.end(store, dispatchers, at_once)
    over = (await look(store, batch)).batch
    assert over.over
    assert over.tally.succeeded == total
    print(row(what, loose.took_s[1:], counted.took_s[1:]), flush=True)


async def fill(
    store: SqlStore, blobs: MemoryBlobs, batch: Batch, loose: Side, counted: Side, total: int
) -> None:
    """In turns, so that neither kind lies together in the table."""
    for first in range(0, total, STEP):
        await turn(store, blobs, limit=STEP)
        items = [job_of_item(batch.id, place) for place in range(first, first + STEP)]
        counted.jobs += await held(store, items)
        alike = {"labels": {"of-nothing": batch.id, "item": "7"}, "input": {"text": "a"}}
        new = [a_job(tenant=TENANT, path=PATH, **alike) for _ in range(STEP)]  # type: ignore[arg-type]  # any field
        async with store.begin() as tx:
            await tx.insert([NewJob(job) for job in new])
        loose.jobs += await held(store, [job.id for job in new])


async def held(store: SqlStore, jobs: Sequence[JobId]) -> list[Job]:
    async with store.begin() as tx:
        waiting = await tx.load(jobs)
    claims = [a_claim(waiting[job], f"claim-of-{job}") for job in jobs]
    await claim(store, WORKER, claims, lease=LEASE)
    async with store.begin() as tx:
        found = await tx.load(jobs)
    assert all(job.epoch == 1 for job in found.values())
    return [found[job] for job in jobs]


def row(what: str, without: Sequence[float], with_: Sequence[float]) -> str:
    ratios = [a / b for a, b in zip(without, with_, strict=True)]
    speeds = (f"{A_ROUND / statistics.median(each):9.0f} /s" for each in (without, with_))
    return f"| {what:38} | {' | '.join(f'{each:>13}' for each in speeds)} | {statistics.median(ratios):5.2f} |"


@asynccontextmanager
async def opened(name: str, dispatchers: int) -> AsyncGenerator[SqlStore]:
    async with AsyncExitStack() as stack:
        if name == "sqlite":
            folder = Path(stack.enter_context(TemporaryDirectory()))
            url = f"sqlite:///{folder / 'bench.db'}"
        else:
            url = await stack.enter_async_context(infra.fresh_database(infra.postgres()))
        await migrate(url)
        store = await stack.enter_async_context(open_sql_store(url, pool_size=dispatchers + 1))
        async with store.begin() as tx:
            await tx.announce_engines([ECHO])
        yield store


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
