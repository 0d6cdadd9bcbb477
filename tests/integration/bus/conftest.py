"""A vhost of one's own on the shared broker; a broker of one's own to break; a plain client beside ours."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack
from functools import partial
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from headrace.adapters.bus.rabbitmq import RabbitBus, open_rabbit_bus
from headrace.contracts.topology import Topology
from headrace.testkit.infra import Server, Vhost, fresh_vhost, own_rabbitmq

ACK_WITHIN_S = 3

OpenBus = Callable[..., Awaitable[RabbitBus]]
Ctl = Callable[..., Awaitable[str]]


@pytest.fixture(scope="module")
def vhost(rabbitmq_url: str) -> Generator[Vhost]:
    with asyncio.Runner() as runner:
        context = fresh_vhost(rabbitmq_url)
        yield runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """Ours alone, with little patience for acknowledgements."""
    with asyncio.Runner() as runner:
        home = tmp_path_factory.mktemp("broker")
        context = own_rabbitmq(home, consumer_timeout_ms=ACK_WITHIN_S * 1000)
        yield runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


@pytest.fixture
def ctl(broker: Server) -> Ctl:
    return partial(_ctl, broker)


async def _ctl(broker: Server, *arguments: str) -> str:
    # Debian's command on the PATH changes the user, and with it the cookie.
    behind = "/usr/lib/rabbitmq/bin/rabbitmqctl"
    command = behind if os.access(behind, os.X_OK) else shutil.which("rabbitmqctl")
    assert command
    node = f"headrace-{urlsplit(broker.url).port}@localhost"
    env = {"PATH": os.defpath, "HOME": str(broker.home)}
    process = await asyncio.create_subprocess_exec(
        command, "-q", "-n", node, *arguments, env=env, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode()


@pytest.fixture
def name() -> str:
    return f"q.{token_hex(6)}"


@pytest.fixture
def topology() -> Topology:
    return Topology(f"t{token_hex(6)}")


@pytest.fixture
async def open_bus(topology: Topology) -> AsyncGenerator[OpenBus]:
    """Opens buses with short tempers, and closes them after the test."""
    async with AsyncExitStack() as stack:

        async def open_one(url: str, **options: Any) -> RabbitBus:
            quick = {"publish_timeout_s": 2.0, "reconnect_s": 0.2, "watch_s": 0.5, **options}
            return await stack.enter_async_context(
                open_rabbit_bus(url, topology=topology, connection_name="test", **quick)
            )

        yield open_one


@pytest.fixture
async def plain(vhost: Vhost) -> AsyncGenerator[AbstractChannel]:
    """A channel that is none of ours: what an operator or another program would do."""
    async with await aio_pika.connect(vhost.url) as connection:
        yield await connection.channel()
