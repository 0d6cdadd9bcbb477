"""Tickets by Redis: GETDEL is what makes them good for one use, whoever asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing

from typing_extensions import override

from headrace.adapters.redis.router import Router
from headrace.core.ports.tickets import Tickets


@asynccontextmanager
async def open_redis_tickets(url: str, *, prefix: str = "headrace") -> AsyncGenerator[RedisTickets]:
    """Opens without asking Redis."""
    with closing(Router(url)) as redis:
        yield RedisTickets(redis, prefix=prefix)


class RedisTickets(Tickets):
    def __init__(self, redis: Router, *, prefix: str) -> None:
        self._redis, self._prefix = redis, prefix

    @override
    async def keep(self, name: str, note: bytes, *, for_s: float) -> None:
        for_ms = max(1, round(for_s * 1000))
        await self._redis.send([("SET", self._key(name), note, "PX", for_ms)])

    @override
    async def take(self, name: str) -> bytes | None:
        (note,) = await self._redis.send([("GETDEL", self._key(name))])
        return None if note is None else bytes(note)

    def _key(self, name: str) -> str:
        return f"{self._prefix}:ticket:{name}"
