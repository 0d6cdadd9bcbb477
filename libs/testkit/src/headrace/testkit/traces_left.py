"""Where a running system still has a text: every table, key and file of a blob."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import redis.asyncio

from headrace.testkit.leavings import said_in_tables
from headrace.testkit.system import System


async def traces_left(system: System, said: str) -> list[str]:
    found = await _tables(system, said)
    if "REDIS_URL" in system.env:
        found += await _keys(system.env["REDIS_URL"], system.env["NAMESPACE"], said)
    return found + [each.name for each in kept_blobs(system) if said.encode() in each.read_bytes()]


def kept_blobs(system: System) -> list[Path]:
    blobs = Path(system.env["DATA_DIR"]) / "blobs"
    return [each for each in blobs.rglob("*") if each.is_file()]


async def _tables(system: System, said: str) -> list[str]:
    if "DATABASE_URL" not in system.env:
        return said_in_tables(Path(system.env["DATA_DIR"]) / "headrace.db", said)
    connection = await asyncpg.connect(system.env["DATABASE_URL"])
    try:
        named = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        names = [row["tablename"] for row in await connection.fetch(named)]
        return [
            name
            for name in names
            for _ in await connection.fetch(
                f'SELECT 1 FROM "{name}" t WHERE t::text LIKE $1',  # noqa: S608  # a table's name
                f"%{said}%",
            )
        ]
    finally:
        await connection.close()


async def _keys(url: str, prefix: str, said: str) -> list[str]:
    async with redis.asyncio.from_url(url) as server:
        found: list[str] = []
        async for key in server.scan_iter(match=f"{prefix}*"):
            dumped: Any = await server.dump(key)
            if said.encode() in (dumped or b""):
                found.append(key.decode())
        return found
