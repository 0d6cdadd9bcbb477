"""What can be read of a running system from outside, every few seconds."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError

from headrace.testkit.chaos.rig import Rig
from headrace.testkit.soak.archive import Archive
from headrace.testkit.soak.verdicts import PROCESSES, TABLES

EVERY_S: Final = 5.0
MB: Final = 1e6
_AWAY: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
_SIZES: Final = """
    SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND pid <> pg_backend_pid() AND application_name = 'headrace'),
           (SELECT sum(n_dead_tup) FROM pg_stat_user_tables),
           pg_database_size(current_database()),
           (SELECT count(*) FROM outbox),
           (SELECT coalesce(max(extract(epoch FROM now()) - since / 1000.0), 0)
            FROM outbox WHERE sent_at IS NULL)
"""
_SIZE_NAMES: Final = (
    "PostgreSQL: connections",
    "PostgreSQL: dead rows",
    "PostgreSQL: size",
    "outbox: rows",
    "outbox: oldest not offered",
)


@dataclass(slots=True)
class Readings:
    """Series by name; what could not be read, because of a fault, has no point."""

    rig: Rig
    broker_files: Path
    began: float = field(default_factory=time.time)
    series: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    archive: Archive = field(default_factory=Archive)

    async def go_on(self) -> None:
        """Until it is cancelled."""
        while True:
            await self.take()
            await asyncio.sleep(EVERY_S)

    async def take(self) -> None:
        self._note(await asyncio.to_thread(self._processes))
        for read in (self._store, self._broker, self._redis):
            with suppress(*_AWAY, httpx.HTTPError, RedisError):
                async with asyncio.timeout(EVERY_S):
                    self._note(await read())

    def until(self, seconds: float) -> dict[str, list[tuple[float, float]]]:
        """While it worked: what it does at rest is another question."""
        return {
            name: [point for point in points if point[0] <= seconds]
            for name, points in self.series.items()
        }

    def _note(self, values: Mapping[str, float]) -> None:
        at = time.time() - self.began
        for name, value in values.items():
            self.series[name].append((at, value))

    def _processes(self) -> dict[str, float]:
        values = {"machine: runnable a core": os.getloadavg()[0] / (os.cpu_count() or 1)}
        for name in PROCESSES:
            process = psutil.Process(self.rig.system.processes[name].process.pid)
            values[f"{name}: memory"] = _of_its_own(process) / MB
            values[f"{name}: files"] = process.num_fds()
            values[f"{name}: CPU used"] = sum(process.cpu_times()[:2])
            values[f"{name}: threads"] = process.num_threads()
            if name == "gpu-worker":
                values |= _children(process)
        return values

    async def _store(self) -> dict[str, float]:
        self.archive.add(await self.rig.effects())
        connection = await asyncpg.connect(self.rig.urls["postgres"], timeout=EVERY_S)
        try:
            found = await connection.fetchrow(_SIZES)
            rows = {
                f"PostgreSQL: rows of {table}": float(
                    await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  # ours
                )
                for table in TABLES
            }
        finally:
            await connection.close(timeout=EVERY_S)
        sizes = {name: float(value or 0) for name, value in zip(_SIZE_NAMES, found, strict=True)}
        sizes["PostgreSQL: size"] /= MB
        return sizes | rows

    async def _broker(self) -> dict[str, float]:
        totals = await self.rig.broker.totals()
        size = await asyncio.to_thread(_size_of, self.broker_files)
        memory = {"memory": totals.pop("memory") / MB, "files on disk": size / MB}
        return {f"RabbitMQ: {name}": value for name, value in (totals | memory).items()}

    async def _redis(self) -> dict[str, float]:
        async with Redis.from_url(self.rig.urls["redis"], socket_timeout=EVERY_S) as client:
            used = (await client.info("memory"))["used_memory"]
            return {"Redis: keys": await client.dbsize(), "Redis: memory": used / MB}


def _of_its_own(process: psutil.Process) -> int:
    """Bytes that no file stands behind. Its share of what it has in common moves with its neighbours."""
    memory = process.memory_info()
    return int(memory.rss - memory.shared)


def _children(process: psutil.Process) -> dict[str, float]:
    sizes: list[float] = []
    for child in process.children(recursive=True):
        with suppress(psutil.Error):
            sizes.append(child.memory_full_info().pss / MB)
    return {"gpu-worker: children": len(sizes), "gpu-worker: children's memory": sum(sizes)}


def _size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # it comes and goes
            total += path.stat().st_size
    return total
