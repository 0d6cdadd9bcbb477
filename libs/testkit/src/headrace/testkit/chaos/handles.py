"""Handles on the servers themselves: what an operator could do to them, and a bad day does."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from redis.asyncio import Redis

from headrace.testkit.chaos.effects import SQLITE
from headrace.testkit.servers import Server
from headrace.testkit.waits import eventually

RABBITMQCTL: Final = "/usr/lib/rabbitmq/bin/rabbitmqctl"
CTL_WITHIN_S: Final = 30.0
ONE_PAGE: Final = 4096


async def lasting(seconds: float) -> None:
    """A fault that is there for as long as it is there."""
    await asyncio.sleep(seconds)


async def rabbitmqctl(server: Server, *arguments: str) -> None:
    """Against a broker of our own: its cookie lies in its home."""
    node = f"headrace-{urlsplit(server.url).port}@localhost"
    process = await asyncio.create_subprocess_exec(
        *(RABBITMQCTL, "-q", "-n", node, *arguments),
        env={**os.environ, "HOME": str(server.home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(CTL_WITHIN_S):
        said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {said.decode()[-500:]}")


@asynccontextmanager
async def memory_alarm(server: Server) -> AsyncGenerator[None]:
    await rabbitmqctl(server, "set_vm_memory_high_watermark", "0.00001")
    try:
        yield
    finally:
        await rabbitmqctl(server, "set_vm_memory_high_watermark", "0.6")


@asynccontextmanager
async def disk_alarm(server: Server) -> AsyncGenerator[None]:
    await rabbitmqctl(server, "set_disk_free_limit", "100000GB")
    try:
        yield
    finally:
        await rabbitmqctl(server, "set_disk_free_limit", "50MB")


async def redis_command(url: str, *words: Any) -> Any:
    async with Redis.from_url(url, socket_timeout=5) as client:
        return await client.execute_command(*words)  # type: ignore[no-untyped-call]


@asynccontextmanager
async def redis_full(url: str) -> AsyncGenerator[None]:
    """It refuses whatever needs memory."""
    await redis_command(url, "CONFIG", "SET", "maxmemory", "1")
    try:
        yield
    finally:
        await redis_command(url, "CONFIG", "SET", "maxmemory", "0")


@asynccontextmanager
async def postgres_admin(url: str) -> AsyncGenerator[Any]:
    """A connection to the server's own database, so that ours may be dropped meanwhile."""
    connection = await asyncpg.connect(urlunsplit(urlsplit(url)._replace(path="/postgres")))
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def backends(url: str) -> list[int]:
    """Process ids of those that serve this database."""
    name = urlsplit(url).path.lstrip("/")
    async with postgres_admin(url) as admin:
        rows = await admin.fetch("SELECT pid FROM pg_stat_activity WHERE datname = $1", name)
    return [int(row["pid"]) for row in rows]


@asynccontextmanager
async def no_connections_left(url: str) -> AsyncGenerator[int]:
    """Take every connection that there is, again and again as others give theirs up."""
    taken: list[Any] = []
    async with AsyncExitStack() as stack:
        with suppress(asyncpg.TooManyConnectionsError):
            while True:
                taken.append(await asyncpg.connect(url, timeout=5))
                stack.push_async_callback(taken[-1].close, timeout=5)
        for pid in await _others(taken[0]):
            await taken[0].execute("SELECT pg_terminate_backend($1)", pid)
            with suppress(asyncpg.TooManyConnectionsError):
                taken.append(await asyncpg.connect(url, timeout=5))
                stack.push_async_callback(taken[-1].close, timeout=5)
        yield len(taken)


async def _others(connection: Any) -> list[int]:
    """Those of this database that are not ours; ours have no name."""
    rows = await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND state <> 'idle' AND pid <> pg_backend_pid()"
    )
    return [int(row["pid"]) for row in rows]


@asynccontextmanager
async def locked_jobs(url: str) -> AsyncGenerator[None]:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close(timeout=5)


async def lock_sqlite(url: str, seconds: float) -> None:
    """Another process in the middle of a transaction."""
    await asyncio.to_thread(_hold, url.removeprefix(SQLITE), seconds, 1)


async def keep_sqlite_busy(url: str, seconds: float) -> None:
    """Another process that takes the lock again and again, as a backup or a shell would."""
    await asyncio.to_thread(_hold, url.removeprefix(SQLITE), seconds, max(1, int(10 * seconds)))


def _hold(file: str, seconds: float, times: int) -> None:
    """In one thread from beginning to end: a connection is not to be closed under a statement."""
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
        for _ in range(times):
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(0.7 * seconds / times if times > 1 else seconds)
            connection.execute("ROLLBACK")
            time.sleep(0.3 * seconds / times if times > 1 else 0)


@contextmanager
def full_disk(pid: int) -> Generator[None]:
    """No file of this process can grow beyond a page; children that it starts meanwhile inherit it."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (ONE_PAGE, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@asynccontextmanager
async def supervised(server: Server) -> AsyncGenerator[None]:
    """As machines do it: whenever the server has left, it is started again, until it stays."""
    over = asyncio.Event()

    async def watch() -> None:
        up = True
        while not over.is_set():
            await asyncio.sleep(0.5)
            if not up or server.has_left():
                up = await _starts(server)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        try:
            yield
        finally:
            over.set()


async def _starts(server: Server) -> bool:
    try:
        await server.start()
    except RuntimeError:
        return False
    return True


async def follows(primary: str, *, synchronously: bool) -> None:
    """The standby has all that the primary has; from here on a commit waits for it, or does not."""
    async with postgres_admin(primary) as admin:

        async def caught_up() -> bool:
            behind = await admin.fetchval(
                "SELECT pg_current_wal_lsn() - replay_lsn FROM pg_stat_replication"
                " WHERE state = 'streaming'"
            )
            return behind is not None and behind == 0

        await eventually(caught_up, within=30, every=0.1)
        names = "standby" if synchronously else ""
        await admin.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        await admin.execute("SELECT pg_reload_conf()")


async def promote(standby: str) -> None:
    async with postgres_admin(standby) as admin:
        assert await admin.fetchval("SELECT pg_promote(wait_seconds => 30)")
