"""Two releases share a store, a broker and the streams for as long as a deploy takes, and back."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from headrace.adapters.store.sql.revision import NEXT
from headrace.testkit.chaos.rig import House, Rig, rig
from headrace.testkit.chaos.settings import PLANT
from headrace.testkit.system import ROLES

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.full, pytest.mark.timeout(300)]
TOMORROW: Final = {PLANT: "tomorrow"}
CANCELLED_WITHIN_S: Final = 60.0  # there is one dispatcher, and it is replaced meanwhile
STRICT: Final = {"RETRY_LOSSES": "1"}  # any attempt that were charged would bury its job
THE_NEXT_MIGRATION: Final = """
ALTER TABLE jobs ADD COLUMN tomorrow text;
ALTER TABLE outbox ADD COLUMN tomorrow text DEFAULT 'new';
ALTER TABLE workers ADD COLUMN tomorrow text;
CREATE TABLE tomorrow (id bigint PRIMARY KEY);
CREATE INDEX jobs_tomorrow ON jobs (tomorrow) WHERE tomorrow IS NOT NULL;
"""


async def busy(here: Rig, jobs: int = 40) -> None:
    for number in range(jobs):
        job = await here.crowd.submit(words=10, delay_s=0.03)
        here.watch(job)
        if number % 8 == 7:
            await here.crowd.cancel(job)


async def replaced(here: Rig, **env: str) -> None:
    """Every process, one after another, each by one of another build."""
    for name in ROLES:
        left = await here.end(name, signal.SIGTERM)
        assert left.process.returncode == 0
        await here.start(name, **env)
        await here.system.ready()


async def migrate_to_the_next(here: Rig) -> None:
    connection = await asyncpg.connect(here.urls["postgres"], timeout=5)
    try:
        async with connection.transaction():
            await connection.execute(THE_NEXT_MIGRATION, timeout=30)
            await connection.execute("UPDATE alembic_version SET version_num = $1", NEXT)
    finally:
        await connection.close(timeout=5)


async def test_fault_67_the_next_release_over_this_one_and_back(
    house: House, tmp_path: Path
) -> None:
    """Under load: the next schema (made up: columns, a table, an index), every process by one that says more in every message and frame, and back"""
    async with rig(house, tmp_path, env=STRICT) as here:
        async with asyncio.TaskGroup() as group:
            group.create_task(busy(here))
            await migrate_to_the_next(here)
            await replaced(here, **TOMORROW)
            group.create_task(busy(here, 20))
            await replaced(here)

        judgement = await here.quiet(cancel_s=CANCELLED_WITHIN_S)

    assert judgement.counts["ended"] == judgement.counts["accepted"] == 60
