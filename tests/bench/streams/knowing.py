"""T11: how soon a client knows that its job has ended, and what coming back to a long log costs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
from redis.asyncio import Redis
from tests.bench.streams import machine
from tests.bench.streams.clients import quantiles
from tests.bench.streams.rig import Bench, gateway, running_jobs
from tests.bench.streams.tables import Section, at_most, foreign, number, ratio
from tests.bench.streams.wire import EPOCH, FIRST_TOKEN, WIRES, token

from headrace.adapters.redis.wire import connect
from headrace.adapters.streams.redis.streams import open_redis_streams
from headrace.contracts.ids import JobId
from headrace.contracts.logs import log_key
from headrace.core.ports.streams import Batch, Streams
from headrace.testkit.client import User
from headrace.testkit.fresh import fresh_prefix
from headrace.testkit.system import System, running

ENDS: Final = 60
POLL_S: Final = 0.05
WORDS: Final[dict[str, Any]] = {"input": {"text": "one two three four five", "delay_s": 0.03}}
LOG: Final = 1000
BACK: Final = 60  # times that somebody comes back
LIVE_EVERY_S: Final = 0.005  # a token, while others come back in the middle
WITHIN_S: Final = 30.0
_SAID: Final = WIRES["headrace"].token
Ask: TypeAlias = Callable[[], Awaitable[object]]


async def the_end(folder: Path) -> Section:
    """Both watch the same jobs at once; the end is the store's own word for it."""
    async with (
        running("EDA", folder, LOG_LEVEL="WARNING", LEASE_S="30") as system,
        httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=WITHIN_S) as http,
    ):
        user = User(http)
        told, polled = [], []
        before, began = machine.usage({}), time.monotonic()
        for _ in range(ENDS):
            job = await user.submit("echo", **WORDS)
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(_told(system, job["id"]))
                polling = group.create_task(_polled(system, job["id"]))
            ended = (await user.get(job))["finished_at"]
            at = datetime.fromisoformat(ended).timestamp()
            told.append(1e3 * (watching.result() - at))
            polled.append(1e3 * (polling.result() - at))
        busy = machine.usage({}).since(before, time.monotonic() - began).machine
    ours, theirs = quantiles(told), quantiles(polled)
    return Section(
        "From the end of a job to a client that knows",
        f"{ENDS} short jobs in EDA mode, an api, a dispatcher and a worker; the end is `finished_at`, which the store "
        f"sets before it commits. The machine's two or more cores: {busy:.2f} busy, ours included.",
        ("client", "p50 ms", "p99 ms"),
        [
            ["watches (SSE)", *map(number, ours)],
            [f"asks every {1e3 * POLL_S:g} ms", *map(number, theirs)],
        ],
        checks=[
            at_most("T11", "end to known p50 beside a 50 ms poll", 0.1, ratio(ours[0], theirs[0]))
        ],
    )


async def _told(system: System, job: str) -> float:
    async with asyncio.timeout(WITHIN_S), _asked(system.port, job) as reader:
        await reader.readuntil(b"event: succeeded\n")
        return time.clock_gettime(time.CLOCK_REALTIME)


async def _polled(system: System, job: str) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", system.port)
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                writer.write(f"GET /jobs/{job} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                told = json.loads(await reader.readexactly(length))
                if told["state"] == "succeeded":
                    return time.clock_gettime(time.CLOCK_REALTIME)
                await asyncio.sleep(POLL_S)
    finally:
        writer.close()


async def coming_back(bench: Bench) -> Section:
    """Also in the middle of a log that grows, where a gap or a duplicate would show."""
    async with fresh_prefix() as fresh:
        prefix = fresh.rstrip(":")
        (job,) = await running_jobs(bench, prefix, 1)
        async with (
            open_redis_streams(bench.redis, prefix=prefix) as streams,
            gateway(bench, "headrace", prefix) as (server, port),
            Redis.from_url(bench.redis) as client,
        ):
            await _say(streams, job, FIRST_TOKEN, LOG)
            key = log_key(prefix, JobId(job))
            wanted = list(range(FIRST_TOKEN, FIRST_TOKEN + LOG))
            before, began = machine.usage({"server": [server.pid]}), time.monotonic()
            ranged: list[float] = []
            resumed: list[float] = []
            for _ in range(BACK):
                ranged.append(await _timed(lambda: client.xrange(key, f"{EPOCH}-1")))
                resumed.append(await _timed(lambda: _must_get(port, job, wanted)))
            bare = await _bare(bench.redis, key)
            used = machine.usage({"server": [server.pid]}).since(before, time.monotonic() - began)
            clean = await _while_it_grows(streams, job, port)
    by_client, ours = quantiles(ranged), quantiles(resumed)
    return Section(
        f"Coming back to a log of {LOG:,} tokens",
        "A new connection with `Last-Event-ID` each time, until the last token is read and all are there, in order.",
        ("", "p50 ms", "p99 ms"),
        [
            ["headrace: connect, look up, subscribe, replay", *map(number, ours)],
            ["redis-py: one XRANGE", *map(number, by_client)],
            ["our own connection: one XRANGE", *map(number, bare)],
        ],
        after=[
            (f"The gateway used {used.by_name['server']:.2f} cores; foreign {foreign(used.foreign)}, "
            "this bench's own client among it."),
            (f"While the log grew by a token every {1e3 * LIVE_EVERY_S:g} ms, {clean} of {BACK} who came back somewhere in "
            "it saw every later token once and in order."),
        ],
        checks=[
            at_most("T11", "resume of 1,000 tokens p50 beside redis-py's XRANGE", 5,
                    ratio(ours[0], by_client[0])),
            at_most("T11", "resumes with a gap or a duplicate", 0, float(BACK - clean), ""),
        ],
    )  # fmt: skip


async def _say(streams: Streams, job: str, first: int, count: int) -> None:
    for seq in range(first, first + count):
        await streams.append([Batch(JobId(job), EPOCH, [("token", token())], seq)])


async def _timed(ask: Ask) -> float:
    began = time.monotonic()
    await ask()
    return 1e3 * (time.monotonic() - began)


async def _must_get(port: int, job: str, wanted: list[int]) -> None:
    got = await _seen(port, job, wanted[0] - 1, until=wanted[-1])
    if got != wanted:
        raise AssertionError(f"{len(got)} tokens came, not the {len(wanted)} that were said")


async def _seen(port: int, job: str, after: int, *, until: int) -> list[int]:
    """The numbers of the tokens as they came."""
    got: list[int] = []
    rest = b""
    async with asyncio.timeout(WITHIN_S), _asked(port, job, after) as reader:
        while not got or got[-1] < until:
            if not (piece := await reader.read(1 << 18)):
                break
            rest += piece
            end = 0
            for match in _SAID.finditer(rest):
                got.append(int(match[1]))
                end = match.end()
            rest = rest[end:]
    return got


@asynccontextmanager
async def _asked(port: int, job: str, after: int = 0) -> AsyncGenerator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        cursor = f"Last-Event-ID: {EPOCH}-{after}\r\n" if after else ""
        writer.write(f"GET /jobs/{job}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n{cursor}\r\n".encode())
        yield reader
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _bare(url: str, key: str) -> list[float]:
    answers: asyncio.Queue[Any] = asyncio.Queue(1)
    wire = await connect(url, answers.put_nowait)
    took = []
    for _ in range(BACK):
        began = time.monotonic()
        wire.send("XRANGE", key, f"{EPOCH}-1", "+")
        if len(await answers.get()) != LOG + 1:
            raise AssertionError("the log is not what was said")
        took.append(1e3 * (time.monotonic() - began))
    wire.close()
    return quantiles(took)


async def _while_it_grows(streams: Streams, job: str, port: int) -> int:
    """How many of those who came back got all that was to come."""
    last = FIRST_TOKEN + LOG + 2 * BACK
    wanted_after = [FIRST_TOKEN + nth * LOG // BACK for nth in range(BACK)]

    async def grow() -> None:
        for seq in range(FIRST_TOKEN + LOG, last + 1):
            await _say(streams, job, seq, 1)
            await asyncio.sleep(LIVE_EVERY_S)

    async def come_back(nth: int) -> list[int]:
        await asyncio.sleep(nth * LIVE_EVERY_S)
        return await _seen(port, job, wanted_after[nth], until=last)

    async with asyncio.TaskGroup() as group:
        group.create_task(grow())
        seen = [group.create_task(come_back(nth)) for nth in range(BACK)]
    return sum(
        each.result() == list(range(after + 1, last + 1))
        for each, after in zip(seen, wanted_after, strict=True)
    )
