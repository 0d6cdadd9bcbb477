"""Measures what the choice of the next offers costs as the backlog grows; `make bench-choose` runs it.

The same tenants wait once with a job each and once with a thousand; both backlogs stand beside each
other, and each round asks both. The figure to look at is the ratio.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import asyncpg

from headrace.adapters.store.sql import SqlStore, migrate, open_sql_store
from headrace.contracts.ids import Lane
from headrace.core.usecases.choose import Turns, choose
from headrace.testkit import infra

TENANTS: Final = 1000
ROOMS: Final = (4, 16, 64, 200)
ROUNDS: Final = 150
WARM_UP: Final = 20
PATH, ECHO = "local", Lane("echo")

NUMBERS: Final = {
    "postgresql": "SELECT generate_series(1, {jobs}) AS n",
    "sqlite": "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted"
    " WHERE n < {jobs}) SELECT n FROM counted",
}
# Only what a choice reads; a job's own row is not.
FILL: Final = """
    INSERT INTO outbox (number, job, epoch, tenant, lane, path, since)
    SELECT n, 'job-' || n, 0, 'tenant-' || n % {tenants}, 'echo', 'local', 1000 * n
    FROM ({numbers}) AS numbers
"""


@dataclass(slots=True)
class Backlog:
    jobs: int
    store: SqlStore
    turns: Turns = field(default_factory=Turns)
    took_ms: list[float] = field(default_factory=list)

    async def choose(self, room: int) -> None:
        async with self.store.begin() as tx:
            began = time.perf_counter()
            chosen = await choose(tx, PATH, ECHO, room, self.turns)
            self.took_ms.append(1000 * (time.perf_counter() - began))
        assert len(chosen) == room, (len(chosen), room)


async def main(jobs: int) -> None:
    print(f"| {'':22} | {'median':^33} | {'quickest tenth':^33} |")
    heads = f"{f'{TENANTS:,} jobs':>12} | {f'{jobs:,}':>10} | ratio"
    print(f"| {'':22} | {heads} | {heads} |")
    print("|".join(["", "-" * 24, *2 * ("-" * 14, "-" * 12, "-" * 7), ""]))
    for name in NUMBERS:
        async with backlogs(name, jobs) as (small, large):
            for room in ROOMS:
                await compare(f"{name}: room {room}", small, large, room)


async def compare(what: str, small: Backlog, large: Backlog, room: int) -> None:
    for each in (small, large):
        each.took_ms.clear()
    for _ in range(WARM_UP + ROUNDS):
        await small.choose(room)
        await large.choose(room)
    cells = [cell(small, large, of) for of in (statistics.median, quickest_tenth)]
    print(f"| {what:22} | {' | '.join(cells)} |", flush=True)


def cell(small: Backlog, large: Backlog, of: Callable[[list[float]], float]) -> str:
    few, many = (of(each.took_ms[WARM_UP:]) for each in (small, large))
    return f"{few:9.2f} ms | {many:7.2f} ms | {many / few:5.2f}"


def quickest_tenth(took: list[float]) -> float:
    """What it takes while nobody else wants the machine."""
    return statistics.quantiles(took, n=10)[0]


@asynccontextmanager
async def backlogs(name: str, jobs: int) -> AsyncGenerator[tuple[Backlog, Backlog]]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        opened: list[Backlog] = []
        for count in (TENANTS, jobs):
            if name == "sqlite":
                url = f"sqlite:///{folder / f'{count}.db'}"
            else:
                url = await stack.enter_async_context(infra.fresh_database(infra.postgres()))
            await migrate(url)
            await fill(url, name, count)
            store = await stack.enter_async_context(open_sql_store(url, pool_size=1))
            opened.append(Backlog(count, store))
        yield opened[0], opened[1]


async def fill(url: str, name: str, jobs: int) -> None:
    """On a connection of its own: a store gives each statement a few seconds."""
    statement = FILL.format(tenants=TENANTS, numbers=NUMBERS[name].format(jobs=jobs))
    if name == "sqlite":
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file, file:
            file.execute(statement)
        return
    admin = await asyncpg.connect(url)
    try:
        await admin.execute(statement)
        await admin.execute("VACUUM ANALYZE outbox")  # as autovacuum does within a minute
    finally:
        await admin.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
