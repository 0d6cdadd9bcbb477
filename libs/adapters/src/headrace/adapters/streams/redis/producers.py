"""Producers by Redis: one hash for each task, changed by scripts alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any, Final

import msgspec
from typing_extensions import override

from headrace.adapters.redis.commands import Command
from headrace.adapters.redis.router import Router
from headrace.contracts.ids import JobId, WorkerId
from headrace.contracts.logs import TTL_S
from headrace.contracts.messages import JobError
from headrace.contracts.producing import CLOSE, FORGET, LOOK, STOP, End, producer_key
from headrace.core.ports.producers import Producers, Seen

_UNREADABLE: Final = End(
    "failed", error=JobError(kind="internal", message="its producer's last word cannot be read")
)


@asynccontextmanager
async def open_redis_producers(
    url: str, *, prefix: str = "headrace", ttl_s: float = TTL_S
) -> AsyncGenerator[RedisProducers]:
    """Opens without asking Redis."""
    with closing(Router(url)) as redis:
        yield RedisProducers(redis, prefix=prefix, ttl_s=ttl_s)


class RedisProducers(Producers):
    def __init__(self, redis: Router, *, prefix: str, ttl_s: float) -> None:
        self._redis, self._prefix, self._ttl_ms = redis, prefix, round(ttl_s * 1000)

    @override
    async def look(self, jobs: Sequence[JobId]) -> Mapping[JobId, Seen]:
        replies = await self._send([self._call(LOOK, job) for job in jobs])
        seen = {job: _seen(reply) for job, reply in zip(jobs, replies, strict=True)}
        return {job: each for job, each in seen.items() if each is not None}

    @override
    async def stop(self, jobs: Sequence[JobId]) -> None:
        await self._send([self._call(STOP, job, self._ttl_ms) for job in jobs])

    @override
    async def close(self, job: JobId, epoch: int, *, if_silent: bool = False) -> bool:
        (closed,) = await self._send([self._call(CLOSE, job, epoch, self._ttl_ms, int(if_silent))])
        return bool(closed)

    @override
    async def forget(self, jobs: Sequence[JobId]) -> None:
        await self._send([self._call(FORGET, job, self._ttl_ms) for job in jobs])

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        return await self._redis.send(commands) if commands else []

    def _call(self, script: str, job: JobId, *arguments: int) -> Command:
        return ("EVAL", script, 1, producer_key(self._prefix, job), *arguments)


def _seen(reply: Sequence[Any]) -> Seen | None:
    epoch, name, alive, end, stop = reply
    if epoch is None:
        return None
    return Seen(
        epoch=int(epoch),
        producer=WorkerId((name or b"").decode(errors="replace")),
        alive=bool(alive),
        end=None if end is None else _end(end),
        told_to_stop=stop is not None,
    )


def _end(said: bytes) -> End:
    try:
        return msgspec.json.decode(said, type=End)
    except msgspec.DecodeError:
        return _UNREADABLE
