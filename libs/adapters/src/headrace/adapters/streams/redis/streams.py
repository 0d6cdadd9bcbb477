"""Appends, replays and follows by Redis. A Redis that is away is `Unavailable`, at once or in 2 s."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from hashlib import sha1
from random import SystemRandom
from typing import Any, Final

from typing_extensions import override

from headrace.adapters.redis.commands import Command
from headrace.adapters.redis.router import Router
from headrace.adapters.redis.slot_map import SlotMap
from headrace.adapters.streams.redis.following import Channels, Following
from headrace.adapters.streams.redis.live import Live
from headrace.adapters.streams.redis.packing import Packing
from headrace.adapters.streams.redis.sharded import ShardedLive
from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, JobId, Position
from headrace.contracts.logs import (
    APPEND,
    DISCARD,
    MAXLEN,
    TTL_S,
    live_channel,
    log_key,
    sharded,
)
from headrace.core.job import Verdict
from headrace.core.ports.streams import Batch, Page, Streams

SCRIPTS: Final = {False: APPEND, True: sharded(APPEND)}  # by whether the server is a cluster
DIGESTS: Final = {
    clustered: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for clustered, script in SCRIPTS.items()
}


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
    random = SystemRandom()
    live = Live(url, tick_s=tick_s, random=random)
    with closing(Lines(url)) as lines:
        shards = ShardedLive(url, lines.slots, tick_s=tick_s, random=random)
        async with _beside(live.run()), _beside(shards.run()):
            yield RedisStreams(lines, live, shards, prefix=prefix, maxlen=maxlen, ttl_s=ttl_s)


@dataclass(frozen=True, slots=True)
class StreamFacts:
    version: str
    policies: Sequence[str]  # what it throws away when its memory is full; each once
    nodes: int  # of a cluster, its masters; 0: no cluster


class Lines:
    """Writers have connections of their own, so that they never wait behind a long replay."""

    def __init__(self, url: str) -> None:
        # A Redis that was restarted has forgotten the script, and is met on a new connection.
        self.slots = SlotMap(url)
        self.write = Router(url, first=_load, slots=self.slots)
        self.read = Router(url, slots=self.slots)

    def close(self) -> None:
        self.write.close()
        self.read.close()


class RedisStreams(Streams):
    def __init__(  # what it is made of, and three options by name
        self,
        lines: Lines,
        live: Live,
        shards: ShardedLive,
        *,
        prefix: str,
        maxlen: int,
        ttl_s: float,
    ) -> None:
        self._lines, self._live, self._shards, self._prefix = lines, live, shards, prefix
        self._ttl_ms = round(ttl_s * 1000)
        self._packings = {
            clustered: Packing(digest, prefix=prefix, maxlen=maxlen, ttl_ms=self._ttl_ms)
            for clustered, digest in DIGESTS.items()
        }

    @override
    async def append(self, batches: Sequence[Batch]) -> list[Verdict]:
        if not batches:
            return []
        packing = self._packings[await self._lines.write.is_clustered()]
        replies = await self._lines.write.send([packing.append(batch) for batch in batches])
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
    def follow(self, job: JobId) -> Following:
        return Following(self._channels, self._channel(job).encode())

    async def _channels(self) -> Channels:
        return self._shards if await self._lines.read.is_clustered() else self._live

    @override
    async def discard(self, jobs: Sequence[JobId]) -> None:
        if jobs:
            # One each: in a cluster they lie in different slots.
            await self._lines.write.send(
                [("EVAL", DISCARD, 1, self._key(job), self._ttl_ms) for job in jobs]
            )

    @override
    async def ping(self) -> None:
        await self._lines.read.ping()

    async def facts(self) -> StreamFacts:
        """Of a server, or of a cluster that serves. Raises Unavailable."""
        await self.ping()
        servers = await self._lines.read.everywhere(("INFO", "server"))
        memories = await self._lines.read.everywhere(("INFO", "memory"))
        return StreamFacts(
            version=", ".join(sorted({_told(each)["redis_version"] for each in servers})),
            policies=sorted({_told(each).get("maxmemory_policy", "unknown") for each in memories}),
            nodes=len(servers) if await self._lines.read.is_clustered() else 0,
        )

    def _key(self, job: JobId) -> str:
        return log_key(self._prefix, job)

    def _channel(self, job: JobId) -> str:
        return live_channel(self._prefix, job)


def _load(*, clustered: bool) -> Sequence[Command]:
    return [("SCRIPT", "LOAD", SCRIPTS[clustered])]


def _told(info: bytes) -> dict[str, str]:
    return dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)


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
