"""Tickets by Redis: GETDEL is what makes them good for one use, whoever asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from typing_extensions import override

from headrace.core.errors import Unavailable
from headrace.core.ports.tickets import Tickets

ANSWER_WITHIN_S: Final = 2.0


@asynccontextmanager
async def open_redis_tickets(url: str, *, prefix: str = "headrace") -> AsyncGenerator[RedisTickets]:
    """Opens without asking Redis."""
    client = Redis.from_url(
        url,
        socket_timeout=ANSWER_WITHIN_S,
        socket_connect_timeout=ANSWER_WITHIN_S,
        retry=Retry(NoBackoff(), 0),
    )
    async with client:
        yield RedisTickets(client, prefix=prefix)


class RedisTickets(Tickets):
    def __init__(self, client: Redis, *, prefix: str) -> None:
        self._client, self._prefix = client, prefix

    @override
    async def keep(self, name: str, note: bytes, *, for_s: float) -> None:
        with _translated():
            await self._client.set(self._key(name), note, px=max(1, round(for_s * 1000)))

    @override
    async def take(self, name: str) -> bytes | None:
        with _translated():
            note = await self._client.getdel(self._key(name))
        return note.encode() if isinstance(note, str) else note

    def _key(self, name: str) -> str:
        return f"{self._prefix}:ticket:{name}"


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable("Redis", str(error) or type(error).__name__) from error
