"""Appends, replays and follows by Redis. A Redis that is away is `Unavailable`, at once or in 2 s."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from hashlib import sha1
from random import SystemRandom
from typing import Any, Final

from typing_extensions import override

from headrace.adapters.streams.redis.commands import Command, Commands
from headrace.adapters.streams.redis.live import Live
from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, JobId, Position
from headrace.contracts.logs import (
    APPEND,
    MAXLEN,
    TTL_S,
    append_arguments,
    live_channel,
    log_key,
)
from headrace.core.errors import Unavailable
from headrace.core.job import Verdict
from headrace.core.ports.streams import Batch, Page, Streams, Subscription

APPEND_SHA: Final = sha1(APPEND.encode(), usedforsecurity=False).hexdigest()
LOAD: Final = ("SCRIPT", "LOAD", APPEND)


@asynccontextmanager
async def open_redis_streams(
    url: str,
    *,
    prefix: str = "headrace",
    maxlen: int = MAXLEN,
    ttl_s: float = TTL_S,
    tick_s: float = 5.0,
) -> AsyncGenerator[RedisStreams]:
    """Opens without asking Redis: a process starts, and stays, also while Redis is away."""
    live = Live(url, tick_s=tick_s, random=SystemRandom())
    with closing(Lines(url)) as lines:
        async with _beside(live.run()):
            yield RedisStreams(lines, live, prefix=prefix, maxlen=maxlen, ttl_s=ttl_s)


class Lines:
    """Writers have a connection of their own, so that they never wait behind a long replay."""

    def __init__(self, url: str) -> None:
        # A Redis that was restarted has forgotten the script, and is met on a new connection.
        self.write = Commands(url, first=[LOAD])
        self.read = Commands(url)

    def close(self) -> None:
        self.write.close()
        self.read.close()


class RedisStreams(Streams):
    def __init__(self, lines: Lines, live: Live, *, prefix: str, maxlen: int, ttl_s: float) -> None:
        self._lines, self._live, self._prefix = lines, live, prefix
        self._maxlen, self._ttl_ms = maxlen, round(ttl_s * 1000)

    @override
    async def append(self, batches: Sequence[Batch]) -> list[Verdict]:
        if not batches:
            return []
        commands: list[Command] = [
            ("EVALSHA", APPEND_SHA, 1, self._key(batch.job), *self._arguments(batch))
            for batch in batches
        ]
        try:
            replies = await self._lines.write.send(commands)
        except Unavailable as error:
            if not error.why.startswith("NOSCRIPT"):
                raise
            _, *replies = await self._lines.write.send([LOAD, *commands])
        return [Verdict.APPLIED if reply else Verdict.STALE for reply in replies]

    @override
    async def read(self, job: JobId, after: Position, *, limit: int) -> Page:
        """Asks for the position itself as well: that it is there shows that nothing is missing."""
        first = "-" if after == START else str(after)
        count = limit if after == START else limit + 1
        command = ("XRANGE", self._key(job), first, "+", "COUNT", count)
        (found,) = await self._lines.read.send([command])
        entries = [_entry(id_, fields) for id_, fields in found]
        if after == START:
            return Page(entries, reaches=_starts_with(entries, Position(0, 1)))
        if _starts_with(entries, after):
            return Page(entries[1:], reaches=True)
        return Page(entries[:limit], reaches=False)

    @override
    def follow(self, job: JobId) -> AbstractAsyncContextManager[Subscription]:
        return self._live.follow(self._channel(job).encode())

    @override
    async def discard(self, jobs: Sequence[JobId]) -> None:
        if jobs:
            await self._lines.write.send([("UNLINK", *(self._key(job) for job in jobs))])

    @override
    async def ping(self) -> None:
        await self._lines.read.send([("PING",)])

    async def eviction(self) -> tuple[str, str]:
        """The server's version, and what it throws away when its memory is full."""
        told = await self._lines.read.send([("INFO", "server"), ("INFO", "memory")])
        lines = b"".join(told).decode().splitlines()
        found = dict(line.split(":", 1) for line in lines if ":" in line)
        return found["redis_version"], found.get("maxmemory_policy", "unknown")

    def _arguments(self, batch: Batch) -> list[str | bytes | int]:
        return append_arguments(
            batch.epoch,
            batch.first_seq,
            batch.frames,
            channel=self._channel(batch.job),
            maxlen=self._maxlen,
            ttl_ms=self._ttl_ms,
        )

    def _key(self, job: JobId) -> str:
        return log_key(self._prefix, job)

    def _channel(self, job: JobId) -> str:
        return live_channel(self._prefix, job)


def _entry(id_: bytes, fields: Sequence[bytes]) -> Entry:
    """As the script writes it: t TYPE d DATA."""
    epoch, seq = id_.split(b"-")
    return Entry(position=Position(int(epoch), int(seq)), type=fields[1].decode(), data=fields[3])


def _starts_with(entries: Sequence[Entry], position: Position) -> bool:
    return bool(entries) and entries[0].position == position


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Run `work` for as long as the body lasts.

    The body's own exceptions pass as they are, where a TaskGroup around it would wrap them.
    """
    tasks = asyncio.TaskGroup()
    await tasks.__aenter__()
    task = tasks.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await tasks.__aexit__(None, None, None)
