"""Jobs for several workers: they are not among those that one is offered, and their members hold them together."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from headrace.contracts.ids import ClaimId, Lane, TenantId, WorkerId
from headrace.contracts.messages import EngineCard
from headrace.core.job import Event, Job, State, advance
from headrace.core.ports.gangs import GangMember
from headrace.core.ports.store import Change, Renewal, Store, Transaction, Waiting
from headrace.testkit.conformance.store.room import SOON, StoreRoom, move, put, read

FIRST, SECOND, THIRD = WorkerId("first"), WorkerId("second"), WorkerId("third")
NO_REST = timedelta(0)


async def member(tx: Transaction, job: Job, worker: WorkerId) -> GangMember:
    return GangMember(
        job=job.id,
        worker=worker,
        epoch=job.epoch,
        claim=ClaimId(f"claim-of-{worker}"),
        reply_to=f"mailbox-of-{worker}",
        at=f"{worker}:29500",
        until=await tx.now() + SOON,
    )


async def join(store: Store, job: Job, *workers: WorkerId) -> None:
    async with store.begin() as tx:
        for worker in workers:
            await tx.join(await member(tx, job, worker))


async def members(store: Store, job: Job) -> list[tuple[WorkerId, int | None]]:
    async with store.begin() as tx:
        found = (await tx.members([job.id])).get(job.id, [])
    return [(each.worker, each.rank) for each in found]


async def begin(store: Store, job: Job, *ranked: WorkerId) -> Job:
    """Granted to these, with a lease that ends soon."""
    await join(store, job, *ranked)
    async with store.begin() as tx:
        until = await tx.now() + SOON
        held = replace(advance(job, Event.GRANTED)[1], worker=ranked[0], lease_until=until)
        assert await tx.save([Change(job, held)]) == [True]
        await tx.open_attempts([held])
        await tx.appoint(held, ranked, until=until)
    return held


async def gather(store: Store, job: Job, *, for_: timedelta = SOON) -> None:
    async with store.begin() as tx:
        row = Waiting(job.id, job.epoch, job.tenant, job.trace)
        assert await tx.reserve([row], until=await tx.now() + for_) == [row]


async def waiting_gangs(store: Store, path: str, rest: timedelta = NO_REST) -> list[Job]:
    async with store.begin() as tx:
        found = await tx.next_gangs(path, rest=rest, limit=10)
        return [job for each in found if (job := await tx.find(each.tenant, each.job))]


class Ganging(StoreRoom):
    @pytest.fixture
    def lane(self, path: str) -> Lane:
        return Lane(f"lane-of-{path}")

    @pytest.fixture
    async def gang(self, store: Store, new: Any, lane: Lane) -> Job:
        (made,) = await put(store, new(nodes=2, gpus=3, lane=lane))
        return made

    async def test_how_many_workers_it_wants_is_kept(self, store: Store, gang: Job) -> None:
        kept = await read(store, gang)

        assert (kept.spec.nodes, kept.spec.gpus) == (2, 3)

    async def test_it_is_not_among_those_that_one_worker_is_offered(
        self, store: Store, new: Any, gang: Job, path: str, tenant: TenantId
    ) -> None:
        (alone,) = await put(store, new(lane=gang.lane))

        async with store.begin() as tx:
            heads = await tx.waiting(path, gang.lane, {tenant: 10})

        assert [row.job for row in heads[tenant]] == [alone.id]
        assert [each.id for each in await waiting_gangs(store, path)] == [gang.id]

    async def test_who_has_more_priority_gathers_first(
        self, store: Store, new: Any, gang: Job, path: str
    ) -> None:
        (urgent,) = await put(store, new(nodes=2, lane=gang.lane, priority=50))

        assert [each.id for each in await waiting_gangs(store, path)] == [urgent.id, gang.id]

    async def test_those_of_a_lane_that_is_paused_do_not_gather(
        self, store: Store, gang: Job, path: str
    ) -> None:
        async with store.begin() as tx:
            await tx.pause(gang.lane)

        assert await waiting_gangs(store, path) == []

    async def test_what_gathers_is_known_with_its_end_and_does_not_begin_again(
        self, store: Store, gang: Job, path: str
    ) -> None:
        await gather(store, gang)

        async with store.begin() as tx:
            (gathering,) = await tx.gathering(path)
            later = await tx.now()
        assert (gathering.job, gathering.lane, gathering.epoch) == (gang.id, gang.lane, 0)
        assert gathering.until is not None
        assert gathering.until > later
        assert await waiting_gangs(store, path) == []

    async def test_a_gathering_that_is_over_rests_before_the_next(
        self, store: Store, gang: Job, path: str
    ) -> None:
        await gather(store, gang, for_=timedelta(seconds=-1))

        async with store.begin() as tx:
            assert await tx.gathering(path) == []
        assert await waiting_gangs(store, path, rest=SOON) == []
        assert [each.id for each in await waiting_gangs(store, path)] == [gang.id]

    async def test_members_stand_in_the_order_in_which_they_joined_however_often(
        self, store: Store, gang: Job
    ) -> None:
        await join(store, gang, SECOND)
        await join(store, gang, FIRST)
        await join(store, gang, SECOND)

        assert await members(store, gang) == [(SECOND, None), (FIRST, None)]

    async def test_those_who_are_appointed_have_ranks_and_the_others_leave(
        self, store: Store, gang: Job
    ) -> None:
        await join(store, gang, THIRD)

        held = await begin(store, gang, SECOND, FIRST)

        assert await members(store, gang) == [(SECOND, 0), (FIRST, 1)]
        async with store.begin() as tx:
            (attempt,) = await tx.attempts(gang.id)
        assert (attempt.worker, list(attempt.members)) == (held.worker, [SECOND, FIRST])

    async def test_an_attempt_of_one_worker_has_no_members(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new())
        async with store.begin() as tx:
            held = replace(advance(job, Event.GRANTED)[1], worker=FIRST)
            await tx.save([Change(job, held)])
            await tx.open_attempts([held])

        async with store.begin() as tx:
            (attempt,) = await tx.attempts(job.id)

        assert list(attempt.members) == []

    async def test_the_lease_is_that_of_the_member_whose_own_ends_first(
        self, store: Store, gang: Job
    ) -> None:
        held = await begin(store, gang, FIRST, SECOND)
        async with store.begin() as tx:
            later = await tx.now() + 10 * SOON
            renewal = Renewal(gang.id, held.epoch, 0.5)
            assert await tx.renew([renewal], worker=FIRST, until=later) == [State.RUNNING]

        one_renewed = await read(store, gang)
        async with store.begin() as tx:
            assert await tx.renew([renewal], worker=SECOND, until=later) == [State.RUNNING]
        both_renewed = await read(store, gang)

        assert one_renewed.lease_until == held.lease_until
        assert both_renewed.lease_until == later

    async def test_progress_is_the_word_of_the_first(self, store: Store, gang: Job) -> None:
        held = await begin(store, gang, FIRST, SECOND)

        for worker, progress in ((FIRST, 0.25), (SECOND, 0.75)):
            async with store.begin() as tx:
                until = await tx.now() + SOON
                renewal = Renewal(gang.id, held.epoch, progress)
                await tx.renew([renewal], worker=worker, until=until)

        assert (await read(store, gang)).progress == 0.25

    async def test_nobody_else_renews_it_nor_in_another_epoch(
        self, store: Store, gang: Job
    ) -> None:
        held = await begin(store, gang, FIRST, SECOND)

        async with store.begin() as tx:
            until = await tx.now() + SOON
            stranger = await tx.renew(
                [Renewal(gang.id, held.epoch, None)], worker=THIRD, until=until
            )
            late = await tx.renew(
                [Renewal(gang.id, held.epoch - 1, None)], worker=SECOND, until=until
            )

        assert (stranger, late) == ([None], [None])

    async def test_when_it_is_let_go_it_has_no_members_any_more(
        self, store: Store, gang: Job, path: str
    ) -> None:
        held = await begin(store, gang, FIRST, SECOND)

        await move(store, held, Event.RELEASED)

        assert await members(store, gang) == []
        async with store.begin() as tx:
            until = await tx.now() + SOON
            renewal = Renewal(gang.id, held.epoch, None)
            assert await tx.renew([renewal], worker=SECOND, until=until) == [None]
        assert [each.id for each in await waiting_gangs(store, path)] == [gang.id]

    async def test_one_that_is_cancelled_while_it_waits_has_none_either(
        self, store: Store, gang: Job
    ) -> None:
        await join(store, gang, FIRST)

        await move(store, gang, Event.CANCEL_ASKED)

        assert await members(store, gang) == []

    async def test_who_quits_waits_for_nobody_but_goes_on_with_what_it_runs(
        self, store: Store, new: Any, gang: Job
    ) -> None:
        (other,) = await put(store, new(nodes=2, lane=gang.lane))
        await begin(store, gang, FIRST, SECOND)
        await join(store, other, FIRST, THIRD)

        async with store.begin() as tx:
            await tx.quit_gangs(FIRST)

        assert await members(store, other) == [(THIRD, None)]
        assert await members(store, gang) == [(FIRST, 0), (SECOND, 1)]

    async def test_an_engine_says_how_many_workers_a_job_of_its_may_have(
        self, store: Store, tenant: TenantId
    ) -> None:
        card = EngineCard(Lane(tenant), str(tenant), ["m"], {}, nodes=4)
        async with store.begin() as tx:
            await tx.announce_engines([card])

        async with store.begin() as tx:
            assert card in await tx.catalog()
