"""Says tokens into many streams at a steady pace: with Headrace's own replay log, or into a table.

Reads its orders as JSON on stdin; says a line of JSON when it begins and one at the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, TypeAlias

import asyncpg
from tests.bench.streams.wire import EPOCH, FIRST_TOKEN, token

from headrace.adapters.streams.redis.streams import open_redis_streams
from headrace.contracts.ids import JobId
from headrace.core.ports.streams import Batch

TURN_S: Final = 0.005
Publish: TypeAlias = Callable[[Sequence[str], int], Awaitable[None]]


async def main() -> None:
    orders: dict[str, Any] = json.loads(sys.stdin.readline())
    async with AsyncExitStack() as stack:
        if orders["table"]:
            publish = await _into_a_table(stack, orders["database"])
        else:
            publish = await _into_the_log(stack, orders["redis"], orders["prefix"])
        print("{}", flush=True)
        late_s = await _steadily(publish, orders["jobs"], orders["rate"], orders["each_gets"])
    print(json.dumps({"publisher_late_ms": late_s * 1e3}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)  # what we used is read while we are still there


async def _into_the_log(stack: AsyncExitStack, url: str, prefix: str) -> Publish:
    streams = await stack.enter_async_context(open_redis_streams(url, prefix=prefix))

    async def publish(jobs: Sequence[str], nth: int) -> None:
        await streams.append(
            [Batch(JobId(job), EPOCH, [("token", token())], FIRST_TOKEN + nth) for job in jobs]
        )

    return publish


async def _into_a_table(stack: AsyncExitStack, url: str) -> Publish:
    connection = await asyncpg.connect(url)
    stack.push_async_callback(connection.close)

    async def publish(jobs: Sequence[str], nth: int) -> None:
        await connection.execute(
            "INSERT INTO bench_frames SELECT unnest($1::text[]), $2, unnest($3::bytea[])",
            jobs,
            FIRST_TOKEN + nth,
            [token() for _ in jobs],
        )

    return publish


async def _steadily(publish: Publish, jobs: list[str], rate: float, each_gets: int) -> float:
    """Every job in turn, so that no two moments differ much; answers how late the latest was."""
    groups = max(1, min(len(jobs), round(1 / rate / TURN_S)))
    began, latest = time.monotonic() + 0.1, 0.0
    for nth in range(each_gets):
        for group in range(groups):
            due = began + (nth + group / groups) / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            latest = max(latest, time.monotonic() - due)
            await publish(jobs[group::groups], nth)
    return latest


if __name__ == "__main__":
    asyncio.run(main())
