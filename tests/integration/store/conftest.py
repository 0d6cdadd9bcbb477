"""A store of one's own for each test, on both databases."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from headrace.adapters.store.sql import SqlStore, migrate, open_sql_store
from headrace.testkit.infra import fresh_database


@pytest.fixture
async def postgres_database(postgres_url: str) -> AsyncGenerator[str]:
    async with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, not migrated."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'headrace.db'}"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
async def store(url: str) -> AsyncGenerator[SqlStore]:
    await migrate(url)
    async with open_sql_store(url) as store:
        yield store


@pytest.fixture
async def postgres_store(postgres_database: str) -> AsyncGenerator[SqlStore]:
    await migrate(postgres_database)
    async with open_sql_store(postgres_database) as store:
        yield store
