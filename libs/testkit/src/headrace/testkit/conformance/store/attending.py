"""A path is deserted when nobody vouches for it any more and something on it waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from headrace.contracts.ids import ScheduleId, TenantId
from headrace.core.job import Event, State
from headrace.core.ports.schedules import Schedule
from headrace.core.ports.store import Store
from headrace.testkit.builders import a_job_id
from headrace.testkit.conformance.store.room import SOON, StoreRoom, grant, move, put


async def attend(store: Store, path: str, for_: timedelta) -> None:
    async with store.begin() as tx:
        await tx.attend(path, until=await tx.now() + for_)


async def deserted(store: Store, path: str) -> bool:
    async with store.begin() as tx:
        return await tx.deserted(path)


class Attending(StoreRoom):
    @pytest.fixture
    def wait(self, store: Store, new: Any) -> Callable[[str], Awaitable[None]]:
        """Something waits on the path, in each of the ways in which something may."""

        async def queued() -> None:
            await put(store, new())

        async def offered() -> None:
            (job,) = await put(store, new())
            async with store.begin() as tx:
                heads = await tx.waiting(job.path, job.lane, {job.tenant: 1})
                rows = await tx.reserve(heads[job.tenant], until=await tx.now() + SOON)
                await tx.mark_sent(rows)

        async def held() -> None:
            await grant(store, (await put(store, new()))[0])

        async def scheduled() -> None:
            await put(store, new(state=State.SCHEDULED))

        return lambda how: {
            "queued": queued,
            "offered": offered,
            "held": held,
            "scheduled": scheduled,
        }[how]()

    @pytest.mark.parametrize("how", ["queued", "offered", "held", "scheduled"])
    async def test_a_job_that_waits_where_nobody_is_makes_a_path_deserted(
        self, store: Store, path: str, wait: Callable[[str], Awaitable[None]], how: str
    ) -> None:
        before = await deserted(store, path)

        await wait(how)

        assert not before
        assert await deserted(store, path)
        assert not await deserted(store, f"{path}-other")

    @pytest.mark.parametrize("what", [{"job": {}}, {"run": {}}], ids=["jobs", "runs"])
    async def test_a_schedule_waits_too_until_it_is_deleted(
        self, store: Store, path: str, tenant: TenantId, what: dict[str, Any]
    ) -> None:
        async with store.begin() as tx:
            now = await tx.now()
            schedule = await tx.insert_schedule(
                Schedule(
                    id=ScheduleId(a_job_id()),
                    tenant=tenant,
                    cron="0 3 * * *",
                    timezone="UTC",
                    path=path,
                    **what,
                    next_at=now + SOON,
                )
            )
        active = await deserted(store, path)
        async with store.begin() as tx:
            await tx.delete_schedule(tenant, schedule.id)

        assert active
        assert not await deserted(store, path)

    async def test_a_path_is_not_deserted_while_somebody_vouches_for_it(
        self, store: Store, new: Any, path: str
    ) -> None:
        await put(store, new())

        await attend(store, path, SOON)

        assert not await deserted(store, path)

    async def test_who_vouched_until_now_is_gone(self, store: Store, new: Any, path: str) -> None:
        await put(store, new())

        await attend(store, path, -SOON)

        assert await deserted(store, path)

    async def test_of_two_promises_the_longer_counts(
        self, store: Store, new: Any, path: str
    ) -> None:
        await put(store, new())

        await attend(store, path, SOON)
        await attend(store, path, -SOON)

        assert not await deserted(store, path)

    async def test_what_has_ended_waits_for_nobody(self, store: Store, new: Any, path: str) -> None:
        job = await grant(store, (await put(store, new()))[0])

        await move(store, job, Event.FINISHED, output={})

        assert not await deserted(store, path)
