"""The same rules as in `tests/unit/core`, on PostgreSQL, RabbitMQ and Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from headrace.adapters.store.sql import migrate
from headrace.testkit.infra import fresh_database, fresh_vhost
from headrace.testkit.machine.jobs import play
from headrace.testkit.machine.stage import OpenStage, on_servers

pytestmark = pytest.mark.real


@pytest.fixture
def open_stage(rabbitmq_url: str, redis_url: str, postgres_url: str) -> Generator[OpenStage]:
    """Hypothesis calls for a loop of its own, and so these are opened in another."""
    with asyncio.Runner() as runner:
        database, vhost = fresh_database(postgres_url), fresh_vhost(rabbitmq_url)
        url = runner.run(database.__aenter__())
        broker = runner.run(vhost.__aenter__())
        runner.run(migrate(url))
        yield lambda: on_servers(url, broker.url, redis_url)
        runner.run(vhost.__aexit__(None, None, None))
        runner.run(database.__aexit__(None, None, None))


@pytest.mark.timeout(180)
def test_nothing_is_orphaned_on_real_servers(open_stage: OpenStage, figures: list[str]) -> None:
    figures.append(f"jobs, on real servers: {play(open_stage, examples=4, steps=30)}")


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_nothing_is_orphaned_on_real_servers_in_many_days(
    open_stage: OpenStage, figures: list[str]
) -> None:
    figures.append(f"jobs, on real servers: {play(open_stage, examples=50, steps=30)}")
