"""What a bad day is played on: real adapters, whose faults and whose clock the rules have in hand."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg

from headrace.adapters.bus.inprocess import InProcessBus
from headrace.adapters.bus.rabbitmq import open_rabbit_bus
from headrace.adapters.store.sql import open_sql_store
from headrace.adapters.streams.redis.streams import open_redis_streams
from headrace.contracts.topology import Topology
from headrace.core.ports.bus import Bus
from headrace.core.ports.store import Store
from headrace.core.ports.streams import Streams
from headrace.testkit.deciding import LANE
from headrace.testkit.faulty_streams import FaultyStreams
from headrace.testkit.fresh import forget_keys, fresh_name
from headrace.testkit.unruly import UnrulyBus, UnrulyStore

LOCAL: Final = "local"
DISTRIBUTED: Final = "distributed"
PATHS: Final = (LOCAL, DISTRIBUTED)

# Where the store keeps a time to come, or one to count from. A terminal job's do not matter, and
# must not change.
_TIMES: Final = {
    "jobs": (("lease_until", "not_before", "start_deadline"), "finished_at IS NULL"),
    "outbox": (("reserved_until", "sent_at"), "true"),
    "workers": (("seen_at",), "true"),
}
_TABLES: Final = (
    "jobs, outbox, attempts, idempotency_keys, tenants, lanes, workers, dead_letters, audit, paths"
)


@dataclass(slots=True)
class Stage:
    store: UnrulyStore  # for those who may die
    calm: Store  # the same, for those who watch
    streams: Streams
    topology: Topology
    distributed: UnrulyBus
    local: UnrulyBus
    wipe: Callable[[], Coroutine[Any, Any, None]]  # the streams, as FLUSHALL does
    wait: Callable[[timedelta], Coroutine[Any, Any, None]]  # lets time pass

    def bus(self, path: str) -> UnrulyBus:
        return self.local if path == LOCAL else self.distributed

    @property
    def work(self) -> str:
        return self.topology.work(LANE)

    async def restart_local(self) -> None:
        """The process of the local path ends, and with it what its bus held."""
        self.local = UnrulyBus(InProcessBus(self.topology))
        await self.local.declare([self.work])


OpenStage: TypeAlias = Callable[[], AbstractAsyncContextManager[Stage]]


@asynccontextmanager
async def in_this_process(empty: Path, file: Path) -> AsyncGenerator[Stage]:
    """SQLite in a file of its own, and memory for all else."""
    shutil.copy(empty, file)
    streams = FaultyStreams()

    async def wipe() -> None:
        streams.wipe()

    def rewrite(how_long: timedelta) -> None:
        with closing(sqlite3.connect(file)) as database, database:
            for statement in _earlier(_earlier_in_sqlite, how_long):
                database.execute(statement)

    async def wait(how_long: timedelta) -> None:
        # In a thread: a watcher in the middle of a transaction must be able to end it.
        await asyncio.to_thread(rewrite, how_long)

    topology = Topology("test")
    async with open_sql_store(f"sqlite:///{file}") as store:
        distributed = InProcessBus(topology)
        yield await _stage(store, streams, topology, distributed, wipe, wait)


@asynccontextmanager
async def on_servers(database: str, vhost: str, redis: str) -> AsyncGenerator[Stage]:
    """PostgreSQL, RabbitMQ and Redis; what an earlier stage left in the database is deleted."""
    name = fresh_name()

    async def wipe() -> None:
        await forget_keys(redis, name)

    async def wait(how_long: timedelta) -> None:
        for statement in _earlier(_earlier_in_postgresql, how_long):
            await _execute(database, statement)

    await _execute(database, f"TRUNCATE {_TABLES} RESTART IDENTITY CASCADE")
    topology = Topology(name)
    async with (
        open_sql_store(database) as store,
        open_redis_streams(redis, prefix=name, tick_s=0.5) as streams,
        open_rabbit_bus(vhost, topology=topology, connection_name=name) as bus,
    ):
        try:
            yield await _stage(store, streams, topology, bus, wipe, wait)
        finally:
            await wipe()


async def _stage(
    store: Store,
    streams: Streams,
    topology: Topology,
    distributed: Bus,
    wipe: Callable[[], Coroutine[Any, Any, None]],
    wait: Callable[[timedelta], Coroutine[Any, Any, None]],
) -> Stage:
    local = UnrulyBus(InProcessBus(topology))
    unruly = UnrulyStore(store)
    stage = Stage(unruly, store, streams, topology, UnrulyBus(distributed), local, wipe, wait)
    for path in PATHS:
        await stage.bus(path).declare([stage.work])
    return stage


def _earlier(one: Callable[[str, timedelta], str], how_long: timedelta) -> list[str]:
    """Time passes for the store when all it looks forward to, or counts from, lies earlier."""
    return [
        f"UPDATE {table} SET {', '.join(f'{each} = {one(each, how_long)}' for each in columns)}"  # noqa: S608  # names of ours
        f" WHERE {where}"
        for table, (columns, where) in _TIMES.items()
    ]


def _earlier_in_sqlite(column: str, how_long: timedelta) -> str:
    seconds = f"-{how_long.total_seconds():g} seconds"
    return f"strftime('%Y-%m-%dT%H:%M:%f000+00:00', {column}, '{seconds}')"


def _earlier_in_postgresql(column: str, how_long: timedelta) -> str:
    return f"{column} - interval '{how_long.total_seconds():g} seconds'"


async def _execute(database: str, statement: str) -> None:
    connection = await asyncpg.connect(database, timeout=5)
    try:
        await connection.execute(statement, timeout=10)
    finally:
        await connection.close(timeout=5)
