"""SQLite keeps the store's promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from headrace.adapters.store.sql import SqlStore, migrate, open_sql_store
from headrace.testkit.conformance.store import StoreConformance


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'headrace.db'}"
    asyncio.run(migrate(url))
    return url


class TestSqlite(StoreConformance):
    @pytest.fixture
    async def store(self, url: str) -> AsyncGenerator[SqlStore]:
        async with open_sql_store(url) as store:
            yield store
