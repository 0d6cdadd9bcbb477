"""Large inputs come in by a client that knows only its protocol; and what is deleted is nowhere any more."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis.asyncio

from headrace.testkit.client import User
from headrace.testkit.environments import python_with, ran
from headrace.testkit.system import System
from headrace.testkit.waits import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
]
TUS_CLIENT = "tuspy==1.1.0"


async def test_a_tus_client_sends_a_file_and_another_goes_on_where_it_ended(
    system: System, user: User, tmp_path: Path
) -> None:
    python = await python_with(TUS_CLIENT, tmp_path / "tus")
    file, data = tmp_path / "large.bin", secrets.token_bytes(3_500_000)
    file.write_bytes(data)

    script = Path(__file__).with_name("tus_client.py")
    key = system.auth.get("apikey", "-")
    said = await ran(str(python), str(script), system.url, key, str(file))

    place, offset = said.split()
    upload = (await user.http.get(place)).json()
    assert int(offset) == len(data)
    assert upload["sha256"] == hashlib.sha256(data).hexdigest()
    assert (await user.http.get(f"/blobs/{upload['blob']}")).content == data


async def test_of_a_deleted_job_nothing_is_left_in_any_table_stream_or_blob(
    system: System, user: User
) -> None:
    zebra = f"zebra-{secrets.token_hex(8)}"
    long = f"{zebra} " * 3_000  # too long for a message: input and result are blobs
    job = await user.submit("echo", input={"text": zebra}, key=f"key {zebra}", labels={"of": zebra})
    large = await user.submit("echo", input={"text": long}, labels={"of": zebra})
    for each in (job, large):
        assert [seen async for seen in user.frames(each)][-1].type == "succeeded"
    assert await leavings(system, zebra)

    receipt = (await user.http.delete(f"/jobs/{job['id']}")).json()
    wish = await user.http.post("/jobs/delete", json={"labels": {"of": zebra}})

    async def over() -> bool:
        told = await user.http.get(f"/deletions/{wish.json()['id']}")
        return bool(told.json()["state"] == "done")

    await eventually(over, within=20)
    assert receipt["state"] == "done"
    assert await leavings(system, zebra) == []


async def leavings(system: System, said: str) -> list[str]:
    """Every table, key and file that has this text."""
    found = await tables(system, said)
    if "REDIS_URL" in system.env:
        found += await keys(system.env["REDIS_URL"], system.env["NAMESPACE"], said)
    blobs = Path(system.env["DATA_DIR"]) / "blobs"
    files = [each for each in blobs.rglob("*") if each.is_file()]
    return found + [each.name for each in files if said.encode() in each.read_bytes()]


async def tables(system: System, said: str) -> list[str]:
    if "DATABASE_URL" not in system.env:
        with closing(sqlite3.connect(f"{system.env['DATA_DIR']}/headrace.db")) as database:
            rows = [row for row in database.iterdump() if row.startswith("INSERT")]
        return [row.split('"')[1] for row in rows if said in row]
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


async def keys(url: str, prefix: str, said: str) -> list[str]:
    async with redis.asyncio.from_url(url) as server:
        found: list[str] = []
        async for key in server.scan_iter(match=f"{prefix}*"):
            dumped: Any = await server.dump(key)
            if said.encode() in (dumped or b""):
                found.append(key.decode())
        return found
