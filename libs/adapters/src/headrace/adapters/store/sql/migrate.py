"""Bringing a database up to date, one process at a time, however many start at once.

A new one gets the whole schema, an older one the migrations that it lacks, by alembic.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from headrace.adapters.store.sql.errors import translated
from headrace.adapters.store.sql.place import Limits, Postgres, engine_for, place_of
from headrace.adapters.store.sql.revision import check_revision
from headrace.adapters.store.sql.schema import REVISION
from headrace.adapters.store.sql.schema_whole import make_whole, revision_of

if TYPE_CHECKING:
    from alembic.config import Config

LOCK: Final = 0x4865616472616365  # "Headrace": an advisory lock has a number, not a name
SCRIPTS: Final = Path(__file__).with_name("migrations")

# A migration of a large table takes its time, and a process that waits for it waits as long.
PATIENT: Final = replace(
    Limits(),
    pool_size=1,
    command_s=600.0,
    statement_s=600.0,
    lock_s=600.0,
    idle_in_transaction_s=600.0,
)


async def migrate(url: str) -> None:
    """Raises Unavailable or Misconfigured as the store does."""
    place = place_of(url)
    # BEGIN EXCLUSIVE is SQLite's lock; the others wait at their own BEGIN.
    engine = engine_for(place, PATIENT, begin="BEGIN EXCLUSIVE")
    try:
        with translated():
            async with _locked(engine, advisory=isinstance(place, Postgres)) as connection:
                await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


async def revisions(url: str) -> tuple[str | None, str]:
    """The schema that a database has (None: it has none) and the one that this build brings it to.

    Raises Misconfigured where it is too new for this build.
    """
    engine = engine_for(place_of(url), Limits(pool_size=1), begin="BEGIN")
    try:
        with translated():
            async with engine.connect() as connection:
                found = await connection.run_sync(revision_of)
    finally:
        await engine.dispose()
    if found is not None and found > REVISION:
        check_revision(found)
    return found, REVISION


@asynccontextmanager
async def _locked(engine: AsyncEngine, *, advisory: bool) -> AsyncGenerator[AsyncConnection]:
    """The lock lies on the very connection that migrates, so that it cannot outlive it."""
    async with engine.connect() as connection:
        if not advisory:
            yield connection
            return
        await connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        await connection.commit()
        try:
            yield connection
        finally:
            with suppress(Exception):  # ends with the connection in any case
                await connection.rollback()
                await connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
                await connection.commit()


def _upgrade(connection: Connection) -> None:
    found = revision_of(connection)
    if found is None:
        make_whole(connection)
        connection.commit()
    elif found > REVISION:
        # A newer build was here, and this one is being replaced, or rolled back to.
        check_revision(found)
    elif found < REVISION:
        from alembic import command  # a third of this package's start, and few starts need it

        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def configuration() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
