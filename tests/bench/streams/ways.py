"""How a token gets to each gateway: into our replay log, past it, into a table, or as a peer documents it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import asyncpg
from tests.bench.streams.wire import EPOCH, numbered, token

from headrace.adapters.redis.commands import Commands
from headrace.adapters.streams.redis.streams import open_redis_streams
from headrace.contracts.ids import JobId
from headrace.contracts.logs import live_channel
from headrace.core.ports.streams import Batch

Publish: TypeAlias = Callable[[Sequence[str], int], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Where:
    redis: str
    database: str
    prefix: str
    port: int  # of the gateway, for who publishes through it
    loud: Sequence[str] = ()  # jobs whose tokens are large
    padding: int = 0


async def into_the_log(stack: AsyncExitStack, where: Where) -> Publish:
    streams = await stack.enter_async_context(open_redis_streams(where.redis, prefix=where.prefix))
    loud = frozenset(where.loud)

    def said(job: str) -> list[tuple[str, bytes]]:
        return [("token", token(where.padding if job in loud else 0))]

    async def publish(jobs: Sequence[str], seq: int) -> object:
        return await streams.append([Batch(JobId(job), EPOCH, said(job), seq) for job in jobs])

    return publish


async def past_the_log(stack: AsyncExitStack, where: Where) -> Publish:
    """The same messages without replay: what a log costs is the difference."""
    commands = stack.enter_context(closing(Commands(where.redis)))

    async def publish(jobs: Sequence[str], seq: int) -> object:
        return await commands.send(
            [
                ("PUBLISH", live_channel(where.prefix, JobId(job)), live_message(seq, token()))
                for job in jobs
            ]
        )

    return publish


async def into_a_table(stack: AsyncExitStack, where: Where) -> Publish:
    connection = await asyncpg.connect(where.database)
    stack.push_async_callback(connection.close)

    async def publish(jobs: Sequence[str], seq: int) -> object:
        return await connection.execute(
            "INSERT INTO bench_frames SELECT unnest($1::text[]), $2, unnest($3::bytea[])",
            jobs,
            seq,
            [token() for _ in jobs],
        )

    return publish


async def by_socketio(stack: AsyncExitStack, where: Where) -> Publish:
    """As its documentation has it for a process that only emits: a manager that writes to Redis."""
    from socketio import AsyncRedisManager  # type: ignore[import-untyped]  # it has no types

    manager: Any = AsyncRedisManager(where.redis, channel=where.prefix, write_only=True)

    async def publish(jobs: Sequence[str], seq: int) -> None:
        for job in jobs:
            await manager.emit("frame", json.loads(numbered(seq)), room=job)

    return publish


async def by_http(stack: AsyncExitStack, where: Where) -> Publish:
    """A POST for each message, as nchan wants it; pipelined on one connection, which favours it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", where.port)
    stack.callback(writer.close)

    async def publish(jobs: Sequence[str], seq: int) -> None:
        writer.write(b"".join(_post(job, numbered(seq)) for job in jobs))
        for _ in jobs:
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().splitlines() if line.startswith(b"content-le")]
            await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)

    return publish


WAYS: Final[Mapping[str, Callable[[AsyncExitStack, Where], Awaitable[Publish]]]] = {
    "log": into_the_log,
    "plain": past_the_log,
    "table": into_a_table,
    "socketio": by_socketio,
    "http": by_http,
}


def live_message(seq: int, data: bytes) -> bytes:
    """What the script publishes for one token."""
    lengths = b"\x05" + len(data).to_bytes(4, "big")
    return b"%d-%d\n" % (EPOCH, seq) + lengths + b"token" + data


def _post(job: str, body: bytes) -> bytes:
    head = f"POST /publish/{job} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
