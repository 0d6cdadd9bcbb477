"""A namespace of one's own on a shared server: a vhost, a database, a key prefix; gone afterwards."""

from __future__ import annotations

import asyncio
import atexit
import secrets
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from headrace.testkit import probes
from headrace.testkit.own import MANAGEMENT_OFFSET

CTL_WITHIN_S: Final = 50.0
API_WITHIN_S: Final = 10.0
_SPARE: Final[dict[str, list[str]]] = {}  # vhosts of this process that nobody has, by their broker


class Vhost(NamedTuple):
    """Where to connect, and what every name must start with (empty in a vhost of one's own)."""

    url: str
    prefix: str


def fresh_name() -> str:
    return f"t{secrets.token_hex(6)}"


@asynccontextmanager
async def fresh_vhost(url: str) -> AsyncGenerator[Vhost]:
    """A new vhost, by the management API; or by rabbitmqctl one that nobody else has meanwhile, and
    a prefix; without either, a prefix in the given one.
    """
    name, api = fresh_name(), Api(url)
    await api.add(name)
    if await _answers(_within(url, name)):
        try:
            yield Vhost(_within(url, name), "")
        finally:
            await api.delete(name)
        return
    async with _lent_vhost(url, name) as vhost:
        yield vhost


@asynccontextmanager
async def _lent_vhost(url: str, name: str) -> AsyncGenerator[Vhost]:
    """What is given back is lent again: rabbitmqctl takes seconds, on a busy machine half a minute."""
    spare = _SPARE.setdefault(url, [])
    own = spare.pop() if spare else await _by_ctl(url, name)
    if own is None:
        yield Vhost(url, f"{name}.")
        return
    try:
        yield Vhost(own, f"{name}.")
    finally:
        spare.append(own)


async def _by_ctl(url: str, name: str) -> str | None:
    """The URL of a new vhost."""
    ctl = Ctl(url)
    await ctl.add(name)
    own = _within(url, name)
    if await _answers(own):
        return own
    ctl.delete(name)
    return None


@atexit.register
def delete_spare_vhosts() -> None:
    """Whoever may not live to his exit, as a process that shares the tests with others, calls it."""
    for url, spare in _SPARE.items():
        while spare:
            Ctl(url).delete(urlsplit(spare.pop()).path.removeprefix("/"))


async def _answers(url: str) -> bool:
    return await asyncio.to_thread(probes.answers, probes.amqp, url)


def _within(url: str, vhost: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{vhost}"))


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
        if await asyncio.to_thread(self._call, "add_vhost", name):
            everything = (self._user, ".*", ".*", ".*")
            await asyncio.to_thread(self._call, "set_permissions", "-p", name, *everything)

    def delete(self, name: str) -> None:
        self._call("delete_vhost", name)

    def _call(self, *arguments: str) -> bool:
        if self._command is None:
            return False
        done = subprocess.run(  # noqa: S603  # our own argument list, no shell
            [self._command, "-q", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=CTL_WITHIN_S,
        )
        return done.returncode == 0
