"""Starts what a measurement needs: servers, jobs with a log, gateways, and our helpers' processes."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import resource
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
from redis.asyncio import Redis
from tests.bench.streams.gateways import nchan
from tests.bench.streams.wire import EPOCH

from headrace.adapters.store.sql.migrate import migrate
from headrace.adapters.store.sql.store import open_sql_store
from headrace.adapters.streams.redis.streams import open_redis_streams
from headrace.contracts.ids import TenantId
from headrace.core.ports.streams import Batch
from headrace.testkit import infra
from headrace.testkit.builders import a_new_job
from headrace.testkit.conformance.store.room import grant, put
from headrace.testkit.fresh import fresh_database
from headrace.testkit.own import own_redis
from headrace.testkit.system import free_port
from headrace.testkit.waits import eventually

START_WITHIN_S: Final = 90.0
LEAVE_WITHIN_S: Final = 10.0
ANSWER_WITHIN_S: Final = 180.0
TABLE: Final = """
CREATE TABLE IF NOT EXISTS bench_frames (job text, seq int, data bytea, PRIMARY KEY (job, seq));
TRUNCATE bench_frames
"""


@dataclass(frozen=True, slots=True)
class Bench:
    redis: str
    redis_pid: int
    database: str
    folder: Path


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[Bench]:
    """A Redis of our own, so that its CPU can be told apart, and a database."""
    _many_files()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(own_redis(folder))
        database = await stack.enter_async_context(fresh_database(infra.postgres()))
        await migrate(database)
        async with Redis.from_url(server.url) as client:
            pid = int((await client.info("server"))["process_id"])
        yield Bench(server.url, pid, database, folder)


async def running_jobs(bench: Bench, prefix: str, count: int) -> list[str]:
    """Jobs that a worker has begun, in the store and in the log."""
    async with open_sql_store(bench.database) as store:
        news = [a_new_job(tenant=TenantId("local"), path="distributed") for _ in range(count)]
        jobs = [await grant(store, job) for job in await put(store, *news)]
    async with open_redis_streams(bench.redis, prefix=prefix) as streams:
        for job in jobs:
            started = b'{"type":"started","worker":"bench","attempt":1}'
            await streams.append(
                [
                    Batch(job.id, 0, [("queued", b'{"type":"queued"}')], 1),
                    Batch(job.id, EPOCH, [("started", started)], 1),
                ]
            )
    connection = await asyncpg.connect(bench.database)
    try:
        await connection.execute(TABLE)
    finally:
        await connection.close()
    return [job.id for job in jobs]


def missing(name: str) -> str | None:
    """Why a gateway cannot be measured here."""
    if name == "nchan":
        return nchan.missing()
    if name == "socketio" and importlib.util.find_spec("socketio") is None:
        return "not installed: pip install python-socketio"
    return None


@asynccontextmanager
async def gateway(bench: Bench, name: str, prefix: str) -> AsyncGenerator[tuple[Process, int]]:
    """One gateway process and its port."""
    port = free_port()
    process = await _gateway(bench, name, prefix, port)
    try:
        await eventually(lambda: _listens(port), within=START_WITHIN_S, every=0.1)
        yield process, port
    finally:
        await _stop(process)


async def _gateway(bench: Bench, name: str, prefix: str, port: int) -> Process:
    if name == "nchan":
        return await asyncio.create_subprocess_exec(*nchan.command(port, bench.folder))
    if name != "headrace":
        where = bench.database if name == "polling" else bench.redis
        return await python(f"tests.bench.streams.gateways.{name}", str(port), where, prefix)
    settings = {
        "EXECUTION_MODE": "EDA",
        "PORT": str(port),
        "DATABASE_URL": bench.database,
        "REDIS_URL": bench.redis,
        "RABBITMQ_URL": "amqp://127.0.0.1:1/",  # an api needs none
        "NAMESPACE": prefix,
        "DATA_DIR": str(bench.folder),
        "LOG_LEVEL": "WARNING",
    }
    return await python("headrace.launch", "up", "api", **settings)


@asynccontextmanager
async def helper(name: str) -> AsyncGenerator[Process]:
    process = await python(f"tests.bench.streams.{name}")
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()  # nginx takes its worker along
    try:
        async with asyncio.timeout(LEAVE_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def order(process: Process, **orders: Any) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(orders).encode() + b"\n")
    await process.stdin.drain()


async def answer(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(ANSWER_WITHIN_S):
        line = await process.stdout.readline()
    if not line:
        raise RuntimeError("a helper of the benchmark has died; see above")
    told: dict[str, Any] = json.loads(line)
    return told


async def python(module: str, *arguments: str, **env: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *("env", *(f"{name}={value}" for name, value in env.items())),
        *(sys.executable, "-m", module, *arguments),
        stdin=PIPE,
        stdout=PIPE,
        limit=1 << 22,
    )


def _many_files() -> None:
    """As many as this user may have: each stream is one here and one in the gateway."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
