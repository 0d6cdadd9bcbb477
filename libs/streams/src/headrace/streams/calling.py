"""Scripts at a Redis, or at a cluster of them: which of the two it is, it says when it is first asked.

An answer is never raised: what came in its place is returned, and the line decides what that means.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from typing import Any, Final, TypeAlias

import redis
from redis import asyncio as redis_asyncio
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError
from redis.retry import Retry

from headrace.contracts.logs import each_node, sharded
from headrace.streams.line import Call
from headrace.streams.options import ANSWER_WITHIN_S

_TROUBLE: Final = (RedisError, RedisClusterException, OSError)
_WITHIN: Final[dict[str, Any]] = {
    "socket_timeout": ANSWER_WITHIN_S,
    "socket_connect_timeout": ANSWER_WITHIN_S,
}
_Client: TypeAlias = redis.Redis | redis.RedisCluster
_AsyncClient: TypeAlias = redis_asyncio.Redis | redis_asyncio.RedisCluster


class Caller:
    def __init__(self, url: str) -> None:
        self._url = url
        self._client: _Client | None = None

    def answer(self, call: Call) -> Any:
        """Or the exception that came instead."""
        try:
            self._client = self._client or self._found()
            return _run(self._client, call)
        except _TROUBLE as error:
            return error

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _found(self) -> _Client:
        """By the first that answers of those that the URL names."""
        trouble: Exception | None = None
        for url in each_node(self._url):
            client = redis.Redis.from_url(url, **_WITHIN, retry=Retry(NoBackoff(), 0))
            try:
                clustered = _is_clustered(client.execute_command("HELLO"))  # type: ignore[no-untyped-call]  # theirs
            except _TROUBLE as error:
                client.close()
                trouble = error
                continue
            if not clustered:
                return client
            client.close()
            return redis.RedisCluster.from_url(url, **_WITHIN, require_full_coverage=False)
        raise trouble or ValueError(self._url)


class AsyncCaller:
    def __init__(self, url: str) -> None:
        self._url = url
        self._client: _AsyncClient | None = None

    async def answer(self, call: Call) -> Any:
        """Or the exception that came instead."""
        try:
            self._client = self._client or await self._found()
            return await _run_async(self._client, call)
        except _TROUBLE as error:
            return error

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _found(self) -> _AsyncClient:
        trouble: Exception | None = None
        for url in each_node(self._url):
            client = redis_asyncio.Redis.from_url(url, **_WITHIN, retry=_no_retry())
            try:
                clustered = _is_clustered(await client.execute_command("HELLO"))  # type: ignore[no-untyped-call]  # theirs
            except _TROUBLE as error:
                await client.aclose()
                trouble = error
                continue
            if not clustered:
                return client
            await client.aclose()
            return redis_asyncio.RedisCluster.from_url(url, **_WITHIN, require_full_coverage=False)
        raise trouble or ValueError(self._url)


def _no_retry() -> redis_asyncio.retry.Retry:
    return redis_asyncio.retry.Retry(NoBackoff(), 0)


def _is_clustered(told: Any) -> bool:
    """The greeting is a map, or the same in turn where the URL asks for an older protocol."""
    said = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
    return bool(said[b"mode"] == b"cluster")


def _run(client: _Client, call: Call) -> Any:
    script, digest = _script(call.script, clustered=isinstance(client, redis.RedisCluster))
    count, words = len(call.keys), (*call.keys, *call.arguments)
    try:
        # By its digest: the text travels only to a Redis that does not know it.
        return client.evalsha(digest, count, *words)
    except NoScriptError:
        return client.eval(script, count, *words)


async def _run_async(client: _AsyncClient, call: Call) -> Any:
    script, digest = _script(call.script, clustered=isinstance(client, redis_asyncio.RedisCluster))
    count, words = len(call.keys), (*call.keys, *call.arguments)
    try:
        return await client.evalsha(digest, count, *words)
    except NoScriptError:
        return await client.eval(script, count, *words)


@cache
def _script(text: str, *, clustered: bool) -> tuple[str, str]:
    script = sharded(text) if clustered else text
    return script, sha1(script.encode(), usedforsecurity=False).hexdigest()
