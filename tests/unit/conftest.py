"""A store to decide with: a real one, in a file of the test's own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from headrace.adapters.store.sql import migrate, open_sql_store
from headrace.core.ports.store import Store


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("database") / "empty.sqlite3"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
async def store(tmp_path: Path, database: Path) -> AsyncGenerator[Store]:
    shutil.copy(database, tmp_path / "jobs.sqlite3")
    async with open_sql_store(f"sqlite:///{tmp_path}/jobs.sqlite3") as store:
        yield store
