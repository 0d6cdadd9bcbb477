"""Schedules: kept, found when they are due, and fired once for each time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from headrace.contracts.ids import RunId, TenantId
from headrace.core.ports.schedules import Fire, Schedule
from headrace.core.ports.store import Store
from headrace.testkit.builders import LONG_AGO, a_job_id, a_schedule
from headrace.testkit.conformance.store.room import SOON, StoreRoom

RUN = {"pipeline": "illustrate", "input": {"prompt": "ß"}}


class Recurring(StoreRoom):
    async def test_a_schedule_comes_back_as_it_was(self, store: Store, tenant: TenantId) -> None:
        kept = await keep(store, tenant=tenant, job={"kind": "echo", "input": {"text": "ß"}})

        async with store.begin() as tx:
            found = await tx.schedule(tenant, kept.id)
            others = await tx.schedule(TenantId("another"), kept.id)
            whoevers = await tx.schedule(None, kept.id)

        assert found == whoevers == kept
        assert kept.created_at is not None
        assert others is None

    async def test_a_schedule_of_runs_comes_back_as_it_was_and_is_due_at_its_time(
        self, store: Store, path: str
    ) -> None:
        async with store.begin() as tx:
            now = await tx.now()
        kept = await keep(store, path=path, job=None, run=RUN, next_at=now - SOON)
        await keep(store, path=path, job=None, run=RUN, next_at=now + SOON)
        await keep(store, path=path, job=None, run=RUN, next_at=now - SOON, paused_at=now)

        async with store.begin() as tx:
            assert await tx.schedule(kept.tenant, kept.id) == kept
            assert await tx.due_schedules(path, limit=10) == [kept]
            moved = replace(kept, next_at=now + SOON, last_at=kept.next_at)
            await tx.save_schedules([moved])

        async with store.begin() as tx:
            assert await tx.schedule(kept.tenant, kept.id) == moved
            assert await tx.due_schedules(path, limit=10) == []

    async def test_no_more_are_due_than_were_asked_for_be_it_jobs_or_runs(
        self, store: Store, path: str
    ) -> None:
        made = [
            await keep(store, path=path, next_at=LONG_AGO, **what)
            for what in ({}, {"job": None, "run": RUN}, {"job": None, "run": RUN})
        ]

        async with store.begin() as tx:
            some = await tx.due_schedules(path, limit=2)
            all_ = await tx.due_schedules(path, limit=4)

        assert len(some) == 2
        assert {each.id for each in all_} == {each.id for each in made}

    async def test_schedules_are_listed_newest_first_and_page_by_page(
        self, store: Store, tenant: TenantId
    ) -> None:
        made = [await keep(store, tenant=tenant) for _ in range(3)]
        other = await keep(store, tenant=TenantId(f"{tenant}-other"))

        async with store.begin() as tx:
            first = await tx.schedules(tenant, before=None, limit=2)
            assert first[-1].created_at is not None
            before = (first[-1].created_at, first[-1].id)
            rest = await tx.schedules(tenant, before=before, limit=2)

            of_all = await tx.schedules(None, before=None, limit=4)

        assert {each.tenant for each in of_all} == {tenant, other.tenant}
        newest_first = sorted(made, key=lambda each: (each.created_at, each.id), reverse=True)
        assert [*first, *rest] == newest_first

    async def test_what_is_due_is_neither_paused_nor_over_nor_of_another_path(
        self, store: Store, path: str
    ) -> None:
        async with store.begin() as tx:
            now = await tx.now()
        due = await keep(store, path=path, next_at=now - SOON)
        await keep(store, path=path, next_at=now + SOON)
        await keep(store, path=path, next_at=now - SOON, paused_at=now)
        await keep(store, path=path, next_at=None)
        await keep(store, path=f"{path}-other", next_at=now - SOON)

        async with store.begin() as tx:
            found = await tx.due_schedules(path, limit=10)

        assert found == [due]

    async def test_a_saved_schedule_has_moved_on(self, store: Store, path: str) -> None:
        kept = await keep(store, path=path, next_at=LONG_AGO)
        async with store.begin() as tx:
            now = await tx.now()
        moved = replace(
            kept, next_at=now + SOON, last_at=LONG_AGO, last_error="nobody runs it", paused_at=now
        )

        async with store.begin() as tx:
            await tx.save_schedules([moved])

        async with store.begin() as tx:
            assert await tx.schedule(kept.tenant, kept.id) == moved
            assert await tx.due_schedules(path, limit=10) == []

    async def test_a_time_fires_once(self, store: Store) -> None:
        kept = await keep(store)
        first = Fire(schedule=kept.id, fire_at=LONG_AGO, job=a_job_id())
        other = Fire(schedule=kept.id, fire_at=LONG_AGO + SOON, error="nobody runs it")
        begun = Fire(schedule=kept.id, fire_at=LONG_AGO + 2 * SOON, run=RunId(a_job_id()))

        async with store.begin() as tx:
            won = await tx.record_fires([first])
        async with store.begin() as tx:
            again = await tx.record_fires([replace(first, job=a_job_id()), other, begun])

        assert (won, again) == ([True], [False, True, True])
        async with store.begin() as tx:
            fires = await tx.fires(kept.id, limit=10)
        assert [(each.fire_at, each.job, each.run, each.error) for each in fires] == [
            (begun.fire_at, None, begun.run, None),
            (other.fire_at, None, None, "nobody runs it"),
            (LONG_AGO, first.job, None, None),
        ]
        assert all(each.fired_at is not None for each in fires)

    async def test_a_deleted_schedule_is_gone(self, store: Store, tenant: TenantId) -> None:
        kept = await keep(store, tenant=tenant)

        async with store.begin() as tx:
            strangers = await tx.delete_schedule(TenantId("another"), kept.id)
            first = await tx.delete_schedule(tenant, kept.id)
            again = await tx.delete_schedule(tenant, kept.id)

        assert (strangers, first, again) == (False, True, False)
        async with store.begin() as tx:
            assert await tx.schedule(tenant, kept.id) is None

    async def test_old_fires_are_forgotten(self, store: Store) -> None:
        kept = await keep(store)
        async with store.begin() as tx:
            await tx.record_fires([Fire(schedule=kept.id, fire_at=LONG_AGO)])
            young = await tx.now() - SOON

        async with store.begin() as tx:
            await tx.purge_fires(older_than=young, limit=1000)
            assert len(await tx.fires(kept.id, limit=10)) == 1
            await tx.purge_fires(older_than=young + 2 * SOON, limit=1000)

        async with store.begin() as tx:
            assert await tx.fires(kept.id, limit=10) == []


async def keep(store: Store, **fields: Any) -> Schedule:
    async with store.begin() as tx:
        return await tx.insert_schedule(a_schedule(**fields))
