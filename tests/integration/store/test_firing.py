"""However many dispatchers look at once, each time of a schedule makes one job, and one replay is one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from headrace.adapters.bus.inprocess import InProcessBus
from headrace.adapters.store.sql import SqlStore, open_sql_store
from headrace.contracts.messages import EngineCard
from headrace.core.ports.dead_letters import LetterQuery, Source
from headrace.core.ports.store import Query, Store
from headrace.core.usecases.admit import Admission, Caps
from headrace.core.usecases.replay import replay_due
from headrace.core.usecases.schedules import Fired, Firing, Makers, fire_due
from headrace.core.usecases.settle import replay_letters
from headrace.testkit.builders import LONG_AGO, a_dead_letter, a_job_id, a_schedule
from headrace.testkit.deciding import ECHO, PATH, put
from headrace.testkit.running_runs import CHAIN, TENANT

pytestmark = [pytest.mark.real]
LOOKERS = 5


def anything(card: EngineCard, given: Mapping[str, Any]) -> None:
    """Fits."""


async def look(url: str) -> list[Fired]:
    """One dispatcher, with connections of its own, until it finds nothing."""
    makers = Makers(a_job_id, anything, pipelines={CHAIN.name: CHAIN})
    firing = Firing(missed="once", makers=makers, admission=Admission(Caps()))
    async with open_sql_store(url) as store:
        return [await fire_due(store, firing, path=PATH, limit=4) for _ in range(10)]


async def test_a_time_makes_one_job_whoever_looks(store: SqlStore, url: str) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])
        made = [
            await tx.insert_schedule(a_schedule(cron="0 0 1 1 *", next_at=LONG_AGO))
            for _ in range(20)
        ]

    async with asyncio.TaskGroup() as group:
        looking = [group.create_task(look(url)) for _ in range(LOOKERS)]

    jobs = [job for each in looking for fired in each.result() for job in fired.jobs]
    assert len(jobs) == len(made)
    for schedule in made:
        async with store.begin() as tx:
            (fire,) = await tx.fires(schedule.id, limit=10)
            assert fire.job in {job.id for job in jobs}


async def test_a_time_begins_one_run_whoever_looks(store: SqlStore, url: str) -> None:
    asked = {"pipeline": CHAIN.name, "input": {"text": "a"}}
    yearly = {"cron": "0 0 1 1 *", "next_at": LONG_AGO, "job": None, "run": asked}
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])
        made = [await tx.insert_schedule(a_schedule(**yearly)) for _ in range(20)]

    async with asyncio.TaskGroup() as group:
        looking = [group.create_task(look(url)) for _ in range(LOOKERS)]

    begun = [run.id for each in looking for fired in each.result() for run in fired.runs]
    async with store.begin() as tx:
        kept = await tx.page_runs(TENANT, before=None, limit=100)
        fires = [await tx.fires(each.id, limit=10) for each in made]
        jobs = await tx.page(TENANT, Query(limit=100))
    assert len(begun) == len(made)
    assert {run.id for run in kept} == set(begun) == {fire.run for (fire,) in fires}
    assert len(jobs) == len(made)


async def test_a_dispatcher_of_the_build_before_never_finds_a_schedule_of_runs_due(
    store: SqlStore,
) -> None:
    """By what it asks: it reads `next_at` alone, would find no job to make, and stop firing anything."""
    async with store.begin() as tx:
        made = await tx.insert_schedule(a_schedule(next_at=LONG_AGO, job=None, run={}))
        await tx.save_schedules([made])

    async with store.engine.connect() as connection:
        due = await connection.exec_driver_sql(
            "SELECT id FROM schedules WHERE paused_at IS NULL AND next_at IS NOT NULL"
        )
        assert due.all() == []


async def test_a_planned_replay_is_done_once_whoever_looks(store: SqlStore, url: str) -> None:
    jobs = [await put(store) for _ in range(20)]
    async with store.begin() as tx:
        await tx.bury([a_dead_letter(source=Source.JOB, job=job.id) for job in jobs])
        await replay_letters(tx, LetterQuery(), per_s=1000, who="ann")

    async def replay() -> int:
        async with open_sql_store(url) as other:
            bus, done = InProcessBus(), 0
            for _ in range(10):
                turn = await replay_due(other, bus, path=PATH, limit=4, new_id=a_job_id)
                done += turn.jobs
            return done

    async with asyncio.TaskGroup() as group:
        replaying = [group.create_task(replay()) for _ in range(LOOKERS)]

    assert sum(each.result() for each in replaying) == len(jobs)
    assert await still_open(store) == 0


async def still_open(store: Store) -> int:
    async with store.begin() as tx:
        return len(await tx.letters(LetterQuery(limit=100)))
