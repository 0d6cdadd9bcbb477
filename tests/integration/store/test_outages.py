"""When the database is gone, slow or full: an answer in time, nothing half done, and back again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from headrace.adapters.store.sql import SqlStore, migrate, open_sql_store
from headrace.adapters.store.sql.place import Limits
from headrace.core.errors import InvalidInput, Misconfigured, Unavailable
from headrace.core.ports.store import NewJob
from headrace.testkit.builders import a_new_job
from headrace.testkit.infra import own_postgres
from headrace.testkit.servers import Server
from headrace.testkit.waits import eventually

HASTY = Limits(pool_size=2, pool_wait_s=0.3, connect_s=1.0, command_s=1.0)


async def submit(store: SqlStore, new: NewJob | None = None) -> None:
    async with store.begin() as tx:
        await tx.insert([new or a_new_job()])


async def works(store: SqlStore) -> bool:
    try:
        await submit(store)
    except Unavailable:
        return False
    return True


async def kill_backends(url: str, name: str = "headrace") -> int:
    admin = await asyncpg.connect(url)
    try:
        killed = await admin.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = $1",
            name,
        )
    finally:
        await admin.close()
    return len(killed)


async def backends(url: str) -> list[int]:
    admin = await asyncpg.connect(url)
    try:
        rows = await admin.fetch("SELECT pid FROM pg_stat_activity WHERE pid != pg_backend_pid()")
    finally:
        await admin.close()
    return [row["pid"] for row in rows]


def send(what: signal.Signals, processes: list[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, what)


@pytest.mark.real
class TestKilledBackends:
    async def test_the_first_call_is_refused_and_the_next_one_works(
        self, postgres_store: SqlStore, postgres_database: str
    ) -> None:
        await submit(postgres_store)
        assert await kill_backends(postgres_database) > 0

        with pytest.raises(Unavailable):
            await submit(postgres_store)

        await submit(postgres_store)

    async def test_one_killed_in_the_middle_keeps_nothing(
        self, postgres_store: SqlStore, postgres_database: str
    ) -> None:
        new = a_new_job()

        async def in_the_middle() -> None:
            async with postgres_store.begin() as tx:
                await tx.insert([new])
                await kill_backends(postgres_database)

        with pytest.raises(Unavailable):
            await in_the_middle()

        async with postgres_store.begin() as tx:
            assert await tx.find(new.job.tenant, new.job.id) is None

    async def test_hints_come_back_by_themselves(
        self, postgres_store: SqlStore, postgres_database: str
    ) -> None:
        async with postgres_store.hints() as hints:
            assert await kill_backends(postgres_database) > 0
            await eventually(lambda: works(postgres_store))
            # What was said meanwhile is unknown: that it came back is a hint in itself.
            assert await hints.wait(10)
            await hints.wait(0.2)

            await submit(postgres_store)

            assert await hints.wait(10)


@pytest.mark.real
class TestCancellation:
    async def test_a_cancelled_caller_leaves_no_session_behind(
        self, postgres_store: SqlStore, postgres_database: str
    ) -> None:
        async def impatient(after_s: float) -> None:
            try:
                async with asyncio.timeout(after_s):
                    await submit(postgres_store)
            except TimeoutError:
                pass

        for turn in range(60):
            await impatient(0.0001 * turn)

        admin = await asyncpg.connect(postgres_database)
        try:
            in_transaction = await admin.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND state LIKE 'idle in transaction%'"
            )
        finally:
            await admin.close()
        assert in_transaction == 0
        assert postgres_store.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # QueuePool's
        await submit(postgres_store)


@pytest.mark.real
@pytest.mark.timeout(120)
class TestOwnServer:
    @pytest.fixture
    async def server(self, tmp_path: Path) -> AsyncGenerator[Server]:
        async with own_postgres(tmp_path) as server:
            yield server

    async def test_frozen_dead_and_back(self, server: Server) -> None:
        await migrate(server.url)
        async with open_sql_store(server.url, limits=HASTY) as store:
            await eventually(lambda: works(store))

            frozen = [*await backends(server.url)]
            await server.pause()
            send(signal.SIGSTOP, frozen)  # each backend is a process group of its own
            async with asyncio.timeout(10):
                with pytest.raises(Unavailable):
                    await submit(store)
            send(signal.SIGCONT, frozen)
            await server.resume()
            await eventually(lambda: works(store), within=20)

            await server.kill()
            async with asyncio.timeout(10):
                with pytest.raises(Unavailable):
                    await store.ping()
            await server.start()
            await eventually(lambda: works(store), within=20)


class TestNoRoom:
    async def test_a_transaction_that_gets_no_turn_is_refused_in_time(self, url: str) -> None:
        await migrate(url)
        limits = Limits(pool_size=1, pool_wait_s=0.2)

        async with open_sql_store(url, limits=limits) as store, store.begin():
            async with asyncio.timeout(5):
                with pytest.raises(Unavailable):
                    await submit(store)

    async def test_an_sqlite_file_held_by_another_process_is_unavailable(
        self, tmp_path: Path
    ) -> None:
        url = f"sqlite:///{tmp_path / 'headrace.db'}"
        await migrate(url)
        async with open_sql_store(url, limits=Limits(lock_s=0.2)) as store:
            await submit(store)
            async with open_sql_store(f"{url}") as holder, holder.engine.begin():
                async with asyncio.timeout(5):
                    with pytest.raises(Unavailable, match="locked"):
                        await submit(store)

            await submit(store)


class TestErrorsOfOthers:
    async def test_an_error_of_the_caller_goes_through_as_it_is(self, store: SqlStore) -> None:
        async def slow() -> None:
            async with store.begin():
                raise TimeoutError("mine")

        with pytest.raises(TimeoutError, match="mine"):
            await slow()


@pytest.mark.real
async def test_a_transaction_with_a_failed_statement_does_not_seem_committed(
    postgres_store: SqlStore,
) -> None:
    """PostgreSQL answers COMMIT with a silent rollback then."""
    new = a_new_job()

    async def shrug() -> None:
        async with postgres_store.begin() as tx:
            await tx.insert([new])
            with suppress(InvalidInput):
                await tx.due("local", limit=-1)

    with pytest.raises(Unavailable):
        await shrug()

    async with postgres_store.begin() as tx:
        assert await tx.find(new.job.tenant, new.job.id) is None


@pytest.mark.parametrize(
    "url",
    [
        "mysql://localhost/headrace",
        "sqlite://",
        "sqlite:///:memory:",
        "headrace.db",
        "redis://127.0.0.1",
    ],
)
async def test_an_address_of_no_database_is_explained(url: str) -> None:
    with pytest.raises(Misconfigured, match="postgresql://"):
        async with open_sql_store(url):
            pass


@pytest.mark.real
async def test_a_database_that_is_not_there_is_explained(postgres_database: str) -> None:
    async with open_sql_store(postgres_database + "nowhere") as store:
        with pytest.raises(Misconfigured, match="DATABASE_URL"):
            await store.ping()


async def test_nobody_listens() -> None:
    async with open_sql_store("postgresql://postgres@127.0.0.1:1/none", limits=HASTY) as store:
        with pytest.raises(Unavailable):
            await store.ping()
        async with store.hints() as hints, asyncio.timeout(5):
            assert not await hints.wait(0.3)
