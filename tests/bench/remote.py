"""Measures remote workers who wait in a long poll, beside such as ask once a second; `make bench-remote` runs it.

Services as they run apart, on real servers. What is counted of the store while nothing comes are the
transactions of its whole database; a system without workers, measured first, is taken off. A delivery is
from before the request was sent to when a worker has read its job.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import asyncpg
import httpx

from headrace.testkit.remote_worker import ADMIN, API, MODEL, HttpWorker, worker_key
from headrace.testkit.system import System, running
from headrace.testkit.waits import eventually

WORKERS: Final = 200
OF_ONE_OWNER: Final = 20
IDLE_S: Final = 30.0  # each that waits asks once in it
JOBS: Final = 100
ANYBODY: Final = {"apikey": "0000000000"}
PATHS: Final = {"long poll": "workers/pop?type=text", "once a second": "generate/text/pop"}


@dataclass(slots=True)
class Tally:
    requests: int = 0
    failed: int = 0  # of them
    idle_requests: int = 0
    transactions: float = 0.0  # of the store in a second, while nothing comes
    sent: dict[str, float] = field(default_factory=dict)  # by prompt
    delivered_s: list[float] = field(default_factory=list)


async def main(workers: int, jobs: int) -> None:
    settings: dict[str, Any] = {"ADMIN_KEY": ADMIN, "ALLOW_ANONYMOUS": "true", "LEASE_S": "30"}
    settings |= {"LOG_LEVEL": "WARNING", "USER_CONCURRENCY": "1000"}
    with TemporaryDirectory() as folder:
        async with running("EDA", Path(folder), **settings) as system:
            keys = await _keys(system, workers)
            await asyncio.sleep(5)
            alone = await _transactions(system, IDLE_S)
            found = {way: await _measure(system, keys, way, jobs) for way in PATHS}
    _print(found, alone, workers)


async def _keys(system: System, workers: int) -> list[dict[str, str]]:
    async with httpx.AsyncClient(base_url=system.url, trust_env=False) as http:
        owners = range(-(-workers // OF_ONE_OWNER))
        keys = [await worker_key(http, f"owner-{number}") for number in owners]
    return [keys[number // OF_ONE_OWNER] for number in range(workers)]


async def _measure(system: System, keys: list[dict[str, str]], way: str, jobs: int) -> Tally:
    tally = Tally()
    async with _client(system) as http, _working(system, keys, way, tally):
        await asyncio.sleep(8)  # all are known, and wait
        before = tally.requests
        tally.transactions = await _transactions(system, IDLE_S)
        tally.idle_requests = tally.requests - before
        await _submit(http, tally, jobs)
    return tally


def _client(system: System) -> httpx.AsyncClient:
    """One for each worker, as they are apart: in a shared pool each request looks through all of its connections.

    The server closes what nobody used for five seconds: no connection that old is taken again.
    """
    return httpx.AsyncClient(
        base_url=system.url,
        trust_env=False,
        verify=False,  # noqa: S501  # loopback without TLS; two hundred loads of certificates take seconds
        timeout=60,
        limits=httpx.Limits(keepalive_expiry=3),
    )


@asynccontextmanager
async def _working(
    system: System, keys: list[dict[str, str]], way: str, tally: Tally
) -> AsyncGenerator[None]:
    async with AsyncExitStack() as clients, asyncio.TaskGroup() as group:
        tasks = []
        for number, key in enumerate(keys):
            http = await clients.enter_async_context(_client(system))
            worker = HttpWorker(http, key, f"worker-{number}")
            tasks.append(group.create_task(_work(worker, way, tally, number)))
        yield
        for task in tasks:
            task.cancel()


async def _work(worker: HttpWorker, way: str, tally: Tally, number: int) -> None:
    polls = way != "long poll"
    await asyncio.sleep(Random(number).random())  # not all at the same moment
    while True:
        began = time.monotonic()
        tally.requests += 1
        try:
            job = await worker.pop(PATHS[way])
        except httpx.HTTPError:  # as any worker does, it asks again
            tally.failed += 1
            await asyncio.sleep(1)
            continue
        if job["id"] is not None:
            _note(tally, job)
            tally.requests += 1
            body = {"id": job["id"], "generation": "done", "state": "ok"}
            (await worker.post("generate/text/submit", body)).raise_for_status()
        elif polls:
            await asyncio.sleep(max(0.0, 1.0 - (time.monotonic() - began)))


def _note(tally: Tally, job: dict[str, Any]) -> None:
    sent = tally.sent.get(job["payload"]["prompt"])
    if sent is not None:
        tally.delivered_s.append(time.monotonic() - sent)


async def _submit(http: httpx.AsyncClient, tally: Tally, jobs: int) -> None:
    random = Random(1)
    for number in range(jobs):
        prompt = f"prompt {number}"
        body = {"prompt": prompt, "models": [MODEL]}
        while True:
            tally.sent[prompt] = time.monotonic()
            answer = await http.post(f"{API}/generate/text/async", json=body, headers=ANYBODY)
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                break
            await asyncio.sleep(1)  # more of anybody's wait than may
        answer.raise_for_status()
        await asyncio.sleep(0.1 + 0.2 * random.random())
    with suppress(AssertionError):  # the table tells how many came
        await eventually(lambda: len(tally.delivered_s) >= jobs, within=30, every=0.1)


async def _transactions(system: System, within_s: float) -> float:
    """In a second; PostgreSQL tells of them with up to a second's delay."""
    connection = await asyncpg.connect(system.env["DATABASE_URL"])
    try:
        began, before = time.monotonic(), await _count(connection)
        await asyncio.sleep(within_s)
        return (await _count(connection) - before) / (time.monotonic() - began)
    finally:
        await connection.close()


async def _count(connection: asyncpg.Connection) -> int:
    found = await connection.fetchval(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    )
    return int(found)


def _print(found: dict[str, Tally], alone: float, workers: int) -> None:
    out = sys.stdout.write
    out(f"{workers} remote workers; the store alone: {alone:.1f} transactions a second\n\n")
    out(
        "| workers ask | of the store, idle | requests an hour and worker | delivered | p50 | p99 | failed |\n"
    )
    out("| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
    for way, tally in found.items():
        idle = max(0.0, tally.transactions - alone)
        hourly = tally.idle_requests / IDLE_S * 3600 / workers
        times = sorted(tally.delivered_s)
        p50 = statistics.median(times) if times else float("nan")
        p99 = times[min(len(times) - 1, round(0.99 * len(times)))] if times else float("nan")
        out(
            f"| {way} | {idle:.1f} transactions/s | {hourly:.0f} | {len(times)} of {len(tally.sent)}"
            f" | {1000 * p50:.0f} ms | {1000 * p99:.0f} ms | {tally.failed} of {tally.requests} |\n"
        )


if __name__ == "__main__":
    asyncio.run(
        main(
            int(sys.argv[1]) if len(sys.argv) > 1 else WORKERS,
            int(sys.argv[2]) if len(sys.argv) > 2 else JOBS,  # the second argument
        )
    )
