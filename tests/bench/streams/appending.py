"""T10: what a token costs to publish with replay, ours beside redis-py; runs in a process of its own.

Reads its orders as JSON on stdin: a Redis and how much. Says one line of JSON at the end.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, TypeAlias

import redis
from redis.asyncio import Redis
from tests.bench.streams.clients import quantiles
from tests.bench.streams.ways import live_message
from tests.bench.streams.wire import EPOCH, token

from headrace.adapters.redis.commands import Commands
from headrace.adapters.redis.wire import connect
from headrace.adapters.streams.redis.streams import open_redis_streams
from headrace.contracts.ids import JobId
from headrace.contracts.logs import MAXLEN, live_channel, log_key
from headrace.core.ports.streams import Batch

JOBS: Final = 100  # each round says one token in each, as one batch
ROUNDS: Final = 5  # of every way in turn; the median counts
SAMPLES: Final = 200
PAUSE_S: Final = 0.01
PREFIX: Final = "bench-appending"
Say: TypeAlias = Callable[[Sequence[str], int], Awaitable[object]]


async def main() -> None:
    orders: dict[str, Any] = json.loads(sys.stdin.readline())
    url: str = orders["redis"]
    async with AsyncExitStack() as stack:
        streams = await stack.enter_async_context(open_redis_streams(url, prefix=PREFIX))
        client = await stack.enter_async_context(Redis.from_url(url))
        blocking = stack.enter_context(redis.Redis.from_url(url))

        async def ours(jobs: Sequence[str], seq: int) -> object:
            return await streams.append(
                [Batch(JobId(job), EPOCH, [("token", token())], seq) for job in jobs]
            )

        async def pipelined(jobs: Sequence[str], seq: int) -> object:
            return await _filled(client.pipeline(transaction=False), jobs, seq).execute()

        async def pipelined_blocking(jobs: Sequence[str], seq: int) -> object:
            return _filled(blocking.pipeline(transaction=False), jobs, seq).execute()

        ways = {
            "headrace": ours,
            "redis-py": pipelined,
            "redis-py, blocking": pipelined_blocking,
        }
        costs = await _costs(ways, blocking, orders["tokens"])
        idle = await _idle(url, ours)
    print(json.dumps({"costs": costs, "idle": idle}), flush=True)


def _filled(pipe: Any, jobs: Sequence[str], seq: int) -> Any:
    for job in jobs:
        name, data = JobId(job), token()
        fields = {"t": "token", "d": data}
        pipe.xadd(log_key(PREFIX, name), fields, id=f"{EPOCH}-{seq}", maxlen=MAXLEN)
        pipe.publish(live_channel(PREFIX, name), data)
    return pipe


async def _costs(
    ways: Mapping[str, Say], server: redis.Redis, tokens: int
) -> dict[str, dict[str, float]]:
    """Seconds of CPU a token, here and in Redis, and tokens a second."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for nth in range(ROUNDS):
        for name, say in ways.items():
            jobs = [f"{name}-{nth}-{job}" for job in range(JOBS)]
            await say(jobs, 1)
            redis_s, own_s, began = _redis_cpu_s(server), time.process_time(), time.monotonic()
            for seq in range(2, 2 + tokens // JOBS):
                await say(jobs, seq)
            own_s, took_s = time.process_time() - own_s, time.monotonic() - began
            found[name].append((own_s, _redis_cpu_s(server) - redis_s, took_s))
    return {name: _median(rounds, tokens) for name, rounds in found.items()}


def _median(rounds: Sequence[tuple[float, float, float]], tokens: int) -> dict[str, float]:
    own_s, redis_s, took_s = (statistics.median(each) for each in zip(*rounds, strict=True))
    return {
        "us": 1e6 * own_s / tokens,
        "redis_us": 1e6 * redis_s / tokens,
        "per_core": tokens / own_s,
        "tokens_per_s": tokens / took_s,
    }


def _redis_cpu_s(server: redis.Redis) -> float:
    told: Any = server.info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"])


async def _idle(url: str, ours: Say) -> dict[str, list[float]]:
    """Milliseconds until a subscriber has it, one token at a time, with and without the log."""
    job = "idle"
    channel = live_channel(PREFIX, JobId(job))
    arrived: asyncio.Queue[int] = asyncio.Queue(SAMPLES)

    def received(reply: Any) -> None:
        if isinstance(reply, list) and reply[0] != b"subscribe":
            arrived.put_nowait(time.monotonic_ns())

    commands = Commands(url)
    wire = await connect(url, received)
    wire.send("SUBSCRIBE", channel)
    late: dict[str, list[float]] = {"log": [], "alone": []}
    try:
        for seq in range(1, SAMPLES + 1):
            for name, took_ms in late.items():
                await asyncio.sleep(PAUSE_S)
                began = time.monotonic_ns()
                if name == "log":
                    await ours([job], seq)
                else:
                    await commands.send([("PUBLISH", channel, live_message(seq, token()))])
                took_ms.append((await arrived.get() - began) / 1e6)
    finally:
        wire.close()
        commands.close()
    return {name: quantiles(each) for name, each in late.items()}


if __name__ == "__main__":
    asyncio.run(main())
