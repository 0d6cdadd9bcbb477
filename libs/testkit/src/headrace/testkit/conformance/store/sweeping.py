"""What fell due is found: on its path, oldest first, and no longer than it is true."""

from __future__ import annotations

from typing import Any

from headrace.core.job import Event, State
from headrace.core.ports.store import Renewal, Store
from headrace.testkit.conformance.store.room import SOON, WORKER, StoreRoom, grant, move, put


class Sweeping(StoreRoom):
    async def test_a_scheduled_job_is_due_when_its_time_has_come(
        self, store: Store, new: Any, path: str
    ) -> None:
        async with store.begin() as tx:
            now = await tx.now()
        late, later, early = await put(
            store,
            new(state=State.SCHEDULED, not_before=now - SOON),
            new(state=State.SCHEDULED, not_before=now + SOON),
            new(state=State.SCHEDULED, not_before=now - 2 * SOON),
        )

        async with store.begin() as tx:
            due = await tx.due(path, limit=10)

        assert due == [early, late]
        assert later not in due

    async def test_a_job_scheduled_for_no_time_is_not_forgotten(
        self, store: Store, new: Any, path: str
    ) -> None:
        (job,) = await put(store, new(state=State.SCHEDULED, not_before=None))

        async with store.begin() as tx:
            due = await tx.due(path, limit=10)

        assert [each.id for each in due] == [job.id]

    async def test_lists_are_limited_and_keep_to_one_path(
        self, store: Store, new: Any, path: str
    ) -> None:
        await put(store, *(new(state=State.SCHEDULED) for _ in range(3)))
        await put(store, new(state=State.SCHEDULED, path=f"{path}-other"))

        async with store.begin() as tx:
            assert len(await tx.due(path, limit=2)) == 2
            assert len(await tx.due(path, limit=10)) == 3

    async def test_a_job_that_is_no_longer_scheduled_is_not_due(
        self, store: Store, new: Any, path: str
    ) -> None:
        (job,) = await put(store, new(state=State.SCHEDULED))

        await move(store, job, Event.DUE)

        async with store.begin() as tx:
            assert await tx.due(path, limit=10) == []
            assert await tx.waiting_lanes(path) == [job.lane]

    async def test_a_lease_that_ran_out_is_found(self, store: Store, new: Any, path: str) -> None:
        fresh, old, stopping, ended = [
            await grant(store, job, lease=lease)
            for job, lease in zip(
                await put(store, new(), new(), new(), new()),
                (SOON, -SOON, -2 * SOON, -SOON),
                strict=True,
            )
        ]
        stopping = await move(store, stopping, Event.CANCEL_ASKED)
        await move(store, ended, Event.FINISHED, output={})

        async with store.begin() as tx:
            expired = await tx.expired_leases(path, limit=10)

        assert expired == [stopping, old]
        assert fresh not in expired

    async def test_a_renewed_lease_has_not_run_out(self, store: Store, new: Any, path: str) -> None:
        held = await grant(store, (await put(store, new()))[0], lease=-SOON)

        async with store.begin() as tx:
            await tx.renew([Renewal(held.id, 1, None)], worker=WORKER, until=await tx.now() + SOON)

        async with store.begin() as tx:
            assert await tx.expired_leases(path, limit=10) == []

    async def test_a_job_that_did_not_start_in_time_is_found(
        self, store: Store, new: Any, path: str
    ) -> None:
        async with store.begin() as tx:
            now = await tx.now()
        waiting, scheduled, started, given_back, patient, careless = await put(
            store,
            new(start_deadline=now - SOON),
            new(start_deadline=now - 2 * SOON, state=State.SCHEDULED, not_before=now + SOON),
            new(start_deadline=now - SOON),
            new(start_deadline=now - SOON),
            new(start_deadline=now + SOON),
            new(),
        )
        await grant(store, started)
        await move(store, await grant(store, given_back), Event.RELEASED)

        async with store.begin() as tx:
            expired = await tx.expired_starts(path, limit=10)

        assert expired == [scheduled, waiting]
        assert given_back.id not in [job.id for job in expired]
        assert patient not in expired
        assert careless not in expired

    async def test_wishes_to_cancel_are_found_until_they_are_granted(
        self, store: Store, new: Any, path: str
    ) -> None:
        queued, running, scheduled, over = await put(
            store, new(), new(), new(state=State.SCHEDULED), new()
        )
        await grant(store, running)
        await move(store, await grant(store, over), Event.FINISHED, output={})
        for job in (queued, running, scheduled, over):
            async with store.begin() as tx:
                await tx.ask_cancel(job.tenant, job.id)

        async with store.begin() as tx:
            wishes = await tx.cancel_wishes(path, limit=10)
        for wish in wishes:
            await move(store, wish, Event.CANCEL_ASKED)

        assert {wish.id for wish in wishes} == {queued.id, running.id, scheduled.id}
        async with store.begin() as tx:
            assert await tx.cancel_wishes(path, limit=10) == []
