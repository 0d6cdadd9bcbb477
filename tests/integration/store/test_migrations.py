"""Migrations: they lead to the schema in the code, once, however many processes start at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from headrace.adapters.store.sql import SqlStore, migrate, open_sql_store
from headrace.adapters.store.sql.migrate import configuration, revisions
from headrace.adapters.store.sql.place import Limits, engine_for, place_of
from headrace.adapters.store.sql.revision import NEXT
from headrace.adapters.store.sql.schema import REVISION, metadata
from headrace.contracts.ids import BlobId, Lane, TenantId
from headrace.core.errors import Misconfigured
from headrace.core.ports.blobs import BlobRef
from headrace.testkit.infra import fresh_database

CATALOG = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes"
    " WHERE schemaname = 'public'"
    " UNION ALL SELECT table_name || '.' || column_name, concat_ws(' ', data_type, collation_name,"
    " is_nullable, column_default, identity_generation) FROM information_schema.columns"
    " WHERE table_schema = 'public'"
    " UNION ALL SELECT relname || ' with', array_to_string(reloptions, ' ') FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
}
FIRST_ROWS = (
    "SELECT 'revision', version_num FROM alembic_version"
    " UNION ALL SELECT 'user ' || number,"
    " tenant || ' ' || alias || ' ' || concurrency || ' ' || balance || ' ' || held FROM users"
)


@pytest.fixture
async def engine(url: str) -> AsyncGenerator[AsyncEngine]:
    engine = engine_for(place_of(url), Limits(pool_size=1))
    yield engine
    await engine.dispose()


async def things(engine: AsyncEngine) -> dict[str, str]:
    """What the database says it holds, but for the order of columns and white space."""
    async with engine.connect() as connection:
        rows = [
            *await connection.execute(text(CATALOG[engine.dialect.name])),
            *await connection.execute(text(FIRST_ROWS)),
        ]
    return {name: " ".join(sorted((sql or "").replace(",", " ").split())) for name, sql in rows}


def test_this_build_knows_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(configuration()).get_heads() == [REVISION]


async def test_the_migrations_lead_to_the_schema(url: str, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(brought_to, "head")

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_new_database_is_what_the_migrations_would_have_made_of_it(
    url: str, engine: AsyncEngine, tmp_path_factory: pytest.TempPathFactory, postgres_url: str
) -> None:
    """Also what alembic does not compare: conditions of indexes, collations, identities, options, rows."""
    await migrate(url)
    made = await things(engine)

    if engine.dialect.name == "sqlite":
        migrated = await step_by_step(f"sqlite:///{tmp_path_factory.mktemp('steps') / 'a.db'}")
    else:
        async with fresh_database(postgres_url) as other:
            migrated = await step_by_step(other)

    assert made == migrated
    assert len(made) > 10
    assert "Anonymous" in made["user 0"]


async def step_by_step(url: str) -> dict[str, str]:
    engine = engine_for(place_of(url), Limits(pool_size=1))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(brought_to, "head")
        return await things(engine)
    finally:
        await engine.dispose()


@pytest.mark.timeout(120)
async def test_five_processes_that_start_at_once_migrate_once(url: str) -> None:
    program = (
        "import asyncio, sys; from headrace.adapters.store.sql import migrate;"
        " asyncio.run(migrate(sys.argv[1]))"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, url, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(5)
    ]

    async with asyncio.TaskGroup() as group:
        ends = [group.create_task(process.communicate()) for process in processes]

    assert [process.returncode for process in processes] == [0] * 5, [
        end.result()[1].decode()[-500:] for end in ends
    ]
    async with open_sql_store(url) as store:
        await store.ping()


def brought_to(connection: Connection, revision: str) -> None:
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


BACKLOG = """
INSERT INTO jobs (number, id, tenant, kind, model, input, priority, timeout_s, labels, lane, path, state,
                  epoch, attempt, failures, losses, created_at)
VALUES (1, 'usual', 't', 'echo', 'echo', '{}', 0, 60, '{}', 'echo', 'local', 'queued',
        0, 0, 0, 0, '2026-01-01T00:00:00.000000+00:00'),
       (2, 'urgent', 't', 'echo', 'echo', '{}', 1, 60, '{}', 'echo', 'local', 'queued',
        2, 0, 0, 0, '2026-01-01T00:00:59.000000+00:00'),
       (3, 'too late', 't', 'echo', 'echo', '{}', 1, 60, '{}', 'echo', 'local', 'queued',
        0, 0, 0, 0, '2026-01-01T00:01:01.000000+00:00'),
       (4, 'over', 't', 'echo', 'echo', '{}', 0, 60, '{}', 'echo', 'local', 'succeeded',
        0, 0, 0, 0, '2026-01-01T00:00:00.000000+00:00')
"""


async def test_a_backlog_outlives_the_migration_to_fair_shares(
    url: str, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(brought_to, "0001")
        await connection.execute(text(BACKLOG))

    await migrate(url)

    async with open_sql_store(url) as store, store.begin() as tx:
        heads = await tx.waiting("local", Lane("echo"), {TenantId("t"): 9})
    assert [(row.job, row.epoch) for row in heads[TenantId("t")]] == [
        ("urgent", 2),
        ("usual", 0),
        ("too late", 0),
    ]


NAMED = """
INSERT INTO jobs (number, id, tenant, kind, model, input, output, priority, timeout_s, labels, lane, path,
                  state, epoch, attempt, failures, losses, created_at)
VALUES (1, 'waits', 't', 'echo', 'echo', '{"images": [{"blob": "a.png"}], "text": "b.png"}', NULL, 0, 60,
        '{}', 'echo', 'local', 'queued', 0, 0, 0, 0, '2026-01-01T00:00:00.000000+00:00'),
       (2, 'ended', 't', 'echo', 'echo', '{"input_blob": "c.json"}', '{"output_blob": "d.json"}', 0, 60,
        '{}', 'echo', 'local', 'succeeded', 2, 1, 0, 0, '2026-01-01T00:00:00.000000+00:00')
"""
KNOWN = """
INSERT INTO catalog (kind, model, lane, rank, title, input_schema)
VALUES ('echo', 'small', 'echo', 0, 'Says it again', '{"type": "object"}')
"""
PLANNED = """
INSERT INTO schedules (id, tenant, cron, timezone, job, path, created_at)
VALUES ('daily', 't', '0 6 * * *', 'UTC', '{"kind": "echo", "input": {"image": {"blob": "e.png"}}}', 'local',
        '2026-01-01T00:00:00.000000+00:00')
"""


async def test_what_jobs_and_schedules_named_before_is_not_collected_after_a_migration(
    url: str, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(brought_to, "0004")
        for rows in (NAMED, KNOWN, PLANNED):
            await connection.exec_driver_sql(rows)

    await migrate(url)

    names = ["a.png", "b.png", "c.json", "d.json", "e.png"]
    blobs = [BlobRef(TenantId("t"), BlobId(name)) for name in names]
    async with open_sql_store(url) as store, store.begin() as tx:
        assert [ref.blob for ref in await tx.unused(blobs)] == ["b.png"]
        assert [card.models for card in await tx.catalog()] == [["small"]]
        assert (await tx.catalog())[0].input_schema == {"type": "object"}


async def test_migrating_twice_changes_nothing(store: SqlStore, url: str) -> None:
    before = await things(store.engine)

    await migrate(url)

    assert await things(store.engine) == before


@pytest.mark.parametrize(("revision", "remedy"), [("0000", "headrace migrate"), ("9999", "newer")])
async def test_a_schema_of_another_build_is_explained(
    store: SqlStore, revision: str, remedy: str
) -> None:
    await revised(store, revision)

    with pytest.raises(Misconfigured, match=remedy):
        await store.ping()


async def revised(store: SqlStore, revision: str) -> None:
    async with store.engine.begin() as connection:
        await connection.execute(
            text("UPDATE alembic_version SET version_num = :new"), {"new": revision}
        )


async def test_the_next_schema_is_worked_on_and_left_alone(store: SqlStore, url: str) -> None:
    """As a build does while a newer one takes its place, or when it is rolled back to."""
    await revised(store, NEXT)
    before = await things(store.engine)

    await migrate(url)
    await store.ping()

    assert await things(store.engine) == before
    assert await revisions(url) == (NEXT, REVISION)


async def test_a_schema_that_is_two_ahead_is_refused_and_left_alone(
    store: SqlStore, url: str
) -> None:
    await revised(store, f"{int(NEXT) + 1:04}")
    before = await things(store.engine)

    for refused in (migrate(url), revisions(url), store.ping()):
        with pytest.raises(Misconfigured, match="newer"):
            await refused

    assert await things(store.engine) == before


async def test_an_empty_database_is_explained(url: str) -> None:
    async with open_sql_store(url) as store:
        with pytest.raises(Misconfigured, match="headrace migrate"):
            await store.ping()
        with pytest.raises(Misconfigured, match="headrace migrate"):
            async with store.begin() as tx:
                await tx.catalog()
