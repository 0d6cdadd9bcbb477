"""The private servers start, die, freeze and come back; namespaces are new and leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import aio_pika
import asyncpg
import pytest
from redis.asyncio import Redis

from headrace.testkit import infra, probes
from headrace.testkit.servers import Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

Recipe = Callable[[Path], AbstractAsyncContextManager[Server]]
EACH = [
    pytest.param(infra.own_rabbitmq, probes.amqp, infra.RABBITMQ, id="rabbitmq"),
    pytest.param(infra.own_redis, probes.resp, infra.REDIS, id="redis"),
    pytest.param(infra.own_postgres, probes.sql, infra.POSTGRES, id="postgres"),
]


async def _answers(probe: probes.Probe, url: str) -> bool:
    return await asyncio.to_thread(probes.answers, probe, url)


@pytest.mark.parametrize(("recipe", "probe", "kind"), EACH)
async def test_an_own_server_dies_freezes_and_comes_back(
    recipe: Recipe, probe: probes.Probe, kind: infra.Kind, tmp_path: Path
) -> None:
    infra.need_binary(kind)

    async with recipe(tmp_path) as server:
        assert await _answers(probe, server.url)

        await server.kill()
        assert not await _answers(probe, server.url)

        await server.start()
        await server.pause()
        assert not await _answers(probe, server.url)

        await server.resume()
        assert await _answers(probe, server.url)

    assert not await _answers(probe, server.url)
    assert not server.home.exists()


async def test_what_cannot_start_says_why(tmp_path: Path) -> None:
    infra.need_binary(infra.REDIS)
    daemon = infra.REDIS.daemon(tmp_path)
    wrong = replace(daemon, command=[*daemon.command, "--no-such-option", "1"])

    with pytest.raises(RuntimeError, match=r"Redis did not start: (?s:.)*no-such-option"):
        wrong.start()


@pytest.fixture
async def own_broker_url(tmp_path: Path) -> AsyncGenerator[str]:
    infra.need_binary(infra.RABBITMQ)
    async with infra.own_rabbitmq(tmp_path, consumer_timeout_ms=1_000) as server:
        yield server.url


async def test_a_fresh_vhost_comes_by_the_management_api_where_there_is_one(
    own_broker_url: str,
) -> None:
    async with infra.fresh_vhost(own_broker_url) as vhost:
        assert vhost.prefix == ""
        assert vhost.url != own_broker_url
        assert await _answers(probes.amqp, vhost.url)

    assert not await _answers(probes.amqp, vhost.url)


async def _never_ack(_: aio_pika.abc.AbstractIncomingMessage) -> None: ...


async def test_the_consumer_timeout_of_an_own_broker_can_be_short(own_broker_url: str) -> None:
    connection = await aio_pika.connect(own_broker_url)
    async with connection, connection.channel() as channel:
        closed = asyncio.get_running_loop().create_future()
        channel.close_callbacks.add(lambda _, reason: closed.set_result(str(reason)))
        queue = await channel.declare_queue("late", durable=True)
        await queue.consume(_never_ack)
        await channel.default_exchange.publish(aio_pika.Message(b"never acked"), "late")

        async with asyncio.timeout(20):
            reason = await closed

    assert "timeout" in reason.lower()


async def test_a_fresh_vhost_is_gone_afterwards(rabbitmq_url: str) -> None:
    async with infra.fresh_vhost(rabbitmq_url) as vhost:
        assert await _answers(probes.amqp, vhost.url)

    if not vhost.prefix:
        assert not await _answers(probes.amqp, vhost.url)


async def test_a_fresh_database_is_empty_and_gone_afterwards(postgres_url: str) -> None:
    async with infra.fresh_database(postgres_url) as url:
        connection = await asyncpg.connect(url)
        tables = await connection.fetch("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")

        assert tables == []

    with pytest.raises(asyncpg.InvalidCatalogNameError):  # although a connection was still open
        await asyncpg.connect(url)
    connection.terminate()


async def test_the_keys_of_a_fresh_prefix_are_gone_afterwards(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        async with infra.fresh_prefix(redis_url) as prefix:
            await client.set(f"{prefix}key", "value")

        assert await client.keys(f"{prefix}*") == []
