"""Several dispatchers at once: each job is won once, nothing is lost, nobody waits in a ring."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from headrace.adapters.store.sql import SqlStore, open_sql_store
from headrace.contracts.ids import JobId, Lane, TenantId, WorkerId
from headrace.core.job import Event, Job, State, advance
from headrace.core.ports.store import Change, Created, Renewal, Terms, Waiting
from headrace.core.usecases.choose import Turns, choose
from headrace.testkit.builders import a_new_job

SOON = timedelta(minutes=5)


async def put(store: SqlStore, count: int, **fields: Any) -> list[Job]:
    async with store.begin() as tx:
        answers = await tx.insert([a_new_job(**fields) for _ in range(count)])
    return [answer.job for answer in answers if isinstance(answer, Created)]


async def claim(store: SqlStore, worker: str, jobs: list[JobId]) -> list[JobId]:
    async with store.begin() as tx:
        until = await tx.now() + SOON
        found = await tx.load(jobs)
        changes = [
            Change(
                job,
                replace(advance(job, Event.GRANTED)[1], worker=WorkerId(worker), lease_until=until),
            )
            for job in found.values()
            if job.state is State.QUEUED
        ]
        saved = await tx.save(changes)
        won = [change.after for change, ok in zip(changes, saved, strict=True) if ok]
        await tx.open_attempts(won)
    return [job.id for job in won]


async def test_a_job_that_many_claim_is_granted_once(store: SqlStore) -> None:
    jobs = [job.id for job in await put(store, 20)]

    async with asyncio.TaskGroup() as group:
        claims = [
            group.create_task(claim(store, f"w{n}", jobs if n % 2 else jobs[::-1]))
            for n in range(8)
        ]

    granted = Counter(job for each in claims for job in each.result())
    assert granted == Counter(jobs)


async def test_a_guarded_save_without_a_lock_is_won_once(store: SqlStore) -> None:
    """The guard alone decides, also for who has only read."""
    (job,) = await put(store, 1)

    async def save(worker: str) -> bool:
        after = replace(advance(job, Event.GRANTED)[1], worker=WorkerId(worker))
        async with store.begin() as tx:
            return (await tx.save([Change(job, after)]))[0]

    async with asyncio.TaskGroup() as group:
        saves = [group.create_task(save(f"w{n}")) for n in range(8)]

    assert [task.result() for task in saves].count(True) == 1


async def test_a_row_that_many_reserve_is_reserved_once(store: SqlStore) -> None:
    rows = [Waiting(job.id, job.epoch, job.tenant, None) for job in await put(store, 50)]

    async def reserve(mine: list[Waiting]) -> list[Waiting]:
        async with store.begin() as tx:
            return await tx.reserve(mine, until=await tx.now() + SOON)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reserve(rows if n % 2 else rows[::-1])) for n in range(8)]

    won = Counter(row.job for task in tasks for row in task.result())
    # A row that another has locked is left to it: won once, or waiting still.
    assert set(won.values()) == {1}
    async with store.begin() as tx:
        waiting = await tx.waiting("local", Lane("echo"), {rows[0].tenant: 100})
    assert len(won) + sum(map(len, waiting.values())) == 50


async def test_a_cap_holds_however_many_fill_it(store: SqlStore) -> None:
    """In two lanes at once, each of which alone would fill it."""
    one, other, tenant = Lane("one"), Lane("other"), TenantId("capped")
    for lane in (one, other):
        await put(store, 20, lane=lane, tenant=tenant)
    async with store.begin() as tx:
        await tx.set_terms(tenant, Terms(max_running=5))

    async def fill(lane: Lane) -> int:
        async with store.begin() as tx:
            await tx.hold_release()
            rows = await choose(tx, "local", lane, 4, Turns())
            return len(await tx.reserve(rows, until=await tx.now() + SOON))

    async with asyncio.TaskGroup() as group:
        fills = [group.create_task(fill(one if n % 2 else other)) for n in range(8)]

    assert sum(task.result() for task in fills) == 5


async def test_no_update_is_lost(store: SqlStore) -> None:
    """Read, change, save from many tasks: the guard refuses what was read too early."""
    (job,) = await put(store, 1)

    async def bump() -> None:
        for _ in range(10):
            async with store.begin() as tx:
                found = (await tx.load([job.id]))[job.id]
                changed = replace(found, epoch=found.epoch + 1)
                assert await tx.save([Change(found, changed)]) == [True]

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(bump())

    async with store.begin() as tx:
        found = await tx.find(job.tenant, job.id)
    assert found is not None
    assert found.epoch == 50


async def test_two_stores_on_one_database_lose_no_update(store: SqlStore, url: str) -> None:
    """As two processes would: they share no gate, only the file or the server."""
    (job,) = await put(store, 1)

    async def bump(mine: SqlStore) -> None:
        for _ in range(10):
            async with mine.begin() as tx:
                found = (await tx.load([job.id]))[job.id]
                await tx.save([Change(found, replace(found, epoch=found.epoch + 1))])

    async with open_sql_store(url) as other, asyncio.TaskGroup() as group:
        group.create_task(bump(store))
        group.create_task(bump(other))

    async with store.begin() as tx:
        found = await tx.find(job.tenant, job.id)
    assert found is not None
    assert found.epoch == 20


async def test_claims_marks_and_renewals_do_not_wait_in_a_ring(store: SqlStore) -> None:
    """All the verbs that lock, on the same rows, in every order: a deadlock would raise."""
    jobs = await put(store, 40)
    rows = [Waiting(job.id, job.epoch, job.tenant, None) for job in jobs]

    async def mark(mine: list[Waiting]) -> None:
        for _ in range(5):
            async with store.begin() as tx:
                await tx.reserve(mine, until=await tx.now() - SOON)
                await tx.mark_sent(mine)
            async with store.begin() as tx:
                await tx.resend(mine)

    async def renew(mine: list[Job]) -> None:
        for _ in range(5):
            async with store.begin() as tx:
                renewals = [Renewal(job.id, 1, 0.5) for job in mine]
                await tx.renew(renewals, worker=WorkerId("w"), until=await tx.now() + SOON)

    async with asyncio.TaskGroup() as group:
        for order in (slice(None), slice(None, None, -1)):
            group.create_task(mark(rows[order]))
            group.create_task(renew(jobs[order]))
            group.create_task(claim(store, "w", [job.id for job in jobs[order]]))

    async with store.begin() as tx:
        found = await tx.load([job.id for job in jobs])
        assert {job.state for job in found.values()} == {State.RUNNING}
        assert await tx.offered("local", Lane("echo")) == 0


@pytest.mark.real
async def test_dispatchers_share_what_is_due(postgres_store: SqlStore) -> None:
    await put(postgres_store, 10, state=State.SCHEDULED)

    async with postgres_store.begin() as one, postgres_store.begin() as other:
        first = await one.due("local", limit=6)
        second = await other.due("local", limit=6)

    assert len(first) == 6
    assert len(second) == 4
    assert not {job.id for job in first} & {job.id for job in second}
