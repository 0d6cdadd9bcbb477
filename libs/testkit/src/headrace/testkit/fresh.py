"""A namespace of one's own on a shared server: a vhost, a database, a key prefix; gone afterwards."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from headrace.testkit import probes
from headrace.testkit.own import MANAGEMENT_OFFSET

CTL_WITHIN_S: Final = 30.0
API_WITHIN_S: Final = 10.0


class Vhost(NamedTuple):
    """Where to connect, and what every name must start with (empty in a vhost of one's own)."""

    url: str
    prefix: str


def fresh_name() -> str:
    return f"t{secrets.token_hex(6)}"


@asynccontextmanager
async def fresh_vhost(url: str) -> AsyncGenerator[Vhost]:
    """A new vhost, by the management API or rabbitmqctl; without either, a prefix in the given one."""
    name = fresh_name()
    own = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    for keeper in (Api(url), Ctl(url)):
        await keeper.add(name)
        if await asyncio.to_thread(probes.answers, probes.amqp, own):
            break
        await keeper.delete(name)
    else:
        yield Vhost(url, f"{name}.")
        return
    try:
        yield Vhost(own, "")
    finally:
        await keeper.delete(name)


@asynccontextmanager
async def fresh_database(url: str) -> AsyncGenerator[str]:
    """The URL of a new, empty database."""
    name = fresh_name()
    await _execute(url, f'CREATE DATABASE "{name}"')
    try:
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    finally:
        await _execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _execute(url: str, statement: str) -> None:
    """On a connection for this alone: a test may break those that are open."""
    import asyncpg

    admin = await asyncpg.connect(url, timeout=probes.PATIENCE_S)
    try:
        await admin.execute(statement)
    finally:
        await admin.close()


@asynccontextmanager
async def fresh_prefix(url: str | None = None) -> AsyncGenerator[str]:
    """A prefix nobody else uses; with a Redis URL, its keys are deleted afterwards."""
    prefix = f"{fresh_name()}:"
    try:
        yield prefix
    finally:
        if url is not None:
            await forget_keys(url, prefix)


async def forget_keys(url: str, prefix: str) -> None:
    """Delete every key that begins so."""
    from redis.asyncio import Redis

    async with Redis.from_url(url) as client:
        keys = [key async for key in client.scan_iter(match=f"{prefix}*", count=1000)]
        if keys:
            await client.unlink(*keys)


class Api:
    """The management plugin's HTTP API, where it is switched on; else both calls do nothing."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._user = parts.username or "guest"
        self._auth = (self._user, parts.password or "guest")
        self._base = f"http://{parts.hostname}:{(parts.port or 5672) + MANAGEMENT_OFFSET}/api"

    async def add(self, name: str) -> None:
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        if await self._call("PUT", f"/vhosts/{name}", {}):
            await self._call("PUT", f"/permissions/{name}/{self._user}", everything)

    async def delete(self, name: str) -> None:
        await self._call("DELETE", f"/vhosts/{name}", None)

    async def _call(self, method: str, path: str, body: dict[str, str] | None) -> bool:
        import httpx

        try:
            async with httpx.AsyncClient(auth=self._auth, timeout=API_WITHIN_S) as client:
                answer = await client.request(method, self._base + path, json=body)
        except httpx.HTTPError:
            return False
        return answer.is_success


class Ctl:
    """rabbitmqctl, which reaches this machine's usual broker alone; else both calls do nothing."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._user = parts.username or "guest"
        here = parts.hostname in {"127.0.0.1", "localhost", "::1"}
        self._command = shutil.which("rabbitmqctl") if here else None

    async def add(self, name: str) -> None:
        if await self._call("add_vhost", name):
            await self._call("set_permissions", "-p", name, self._user, ".*", ".*", ".*")

    async def delete(self, name: str) -> None:
        await self._call("delete_vhost", name)

    async def _call(self, *arguments: str) -> bool:
        if self._command is None:
            return False
        nowhere = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            self._command, "-q", *arguments, stdin=nowhere, stdout=nowhere, stderr=nowhere
        )
        async with asyncio.timeout(CTL_WITHIN_S):
            return await process.wait() == 0
