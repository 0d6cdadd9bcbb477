"""The RabbitMQ bus keeps what a bus promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator

import pytest

from headrace.adapters.bus.rabbitmq import RabbitBus, open_rabbit_bus
from headrace.contracts.topology import Topology
from headrace.testkit.conformance.bus import BusSuite
from headrace.testkit.infra import Vhost, fresh_vhost

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def vhost(rabbitmq_url: str) -> Generator[Vhost]:
    with asyncio.Runner() as runner:
        context = fresh_vhost(rabbitmq_url)
        yield runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


class TestRabbitBus(BusSuite):
    @pytest.fixture
    def topology(self, vhost: Vhost) -> Topology:
        return Topology(f"{vhost.prefix}headrace")

    @pytest.fixture
    async def bus(self, vhost: Vhost, topology: Topology) -> AsyncGenerator[RabbitBus]:
        async with open_rabbit_bus(
            vhost.url, topology=topology, connection_name="conformance", reconnect_s=0.1
        ) as bus:
            yield bus
