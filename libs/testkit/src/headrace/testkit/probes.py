"""Does a server answer in its own protocol, with these credentials? Asked from anywhere, briefly."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

PATIENCE_S: Final = 3.0
MAY_CREATE: Final = "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"

Probe = Callable[[str], Awaitable[None]]


def answers(probe: Probe, url: str) -> bool:
    """Ask once. Runs its own loop in a thread, so that sync and async callers may both ask."""
    verdict: list[bool] = []

    def ask() -> None:
        verdict.append(asyncio.run(_yes_or_no(probe, url)))

    thread = threading.Thread(target=ask, name=f"probe {url}")
    thread.start()
    thread.join()
    return verdict == [True]


async def _yes_or_no(probe: Probe, url: str) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await probe(url)
    except Exception:  # noqa: BLE001  # whatever a driver raises means the same here: no
        return False
    return True


async def amqp(url: str) -> None:
    import aiormq

    await _listens(url)  # or aiormq logs an error for each time we ask in vain
    connection = await aiormq.connect(url)
    await connection.close()


async def resp(url: str) -> None:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    async with Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
        await client.ping()


async def sql(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url, timeout=PATIENCE_S)
    try:
        # One that lets us in but not make databases is of no use to a test.
        if not await connection.fetchval(MAY_CREATE):
            raise PermissionError(url)
    finally:
        await connection.close()


async def _listens(url: str) -> None:
    parts = urlsplit(url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.close()
    await writer.wait_closed()
