"""PostgreSQL keeps the store's promises."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from headrace.adapters.store.sql import SqlStore, migrate, open_sql_store
from headrace.testkit.conformance.store import StoreConformance
from headrace.testkit.infra import fresh_database

pytestmark = pytest.mark.real


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(postgres_url: str) -> AsyncGenerator[str]:
    async with fresh_database(postgres_url) as url:
        await migrate(url)
        yield url


class TestPostgresql(StoreConformance):
    @pytest.fixture
    async def store(self, url: str) -> AsyncGenerator[SqlStore]:
        async with open_sql_store(url) as store:
            yield store
