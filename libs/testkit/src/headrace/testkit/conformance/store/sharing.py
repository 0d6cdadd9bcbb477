"""Fair shares: the ring of tenants, caps, ageing, terms, pauses and bounded counts."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from headrace.contracts.ids import Lane, TenantId
from headrace.core.fair_share import PRIORITY_IS_WORTH, Share
from headrace.core.job import Event, State
from headrace.core.ports.store import Crowd, Store, Terms
from headrace.testkit.conformance.store.outbox import ECHO, heads, reserve_and_fail, send
from headrace.testkit.conformance.store.room import SOON, Boom, StoreRoom, grant, move, put


async def ring(
    store: Store, path: str, *, start: TenantId | None = None, limit: int = 10
) -> list[Share]:
    async with store.begin() as tx:
        return await tx.shares(path, ECHO, start=start, limit=limit)


async def agree(store: Store, tenant: TenantId, **terms: Any) -> None:
    async with store.begin() as tx:
        await tx.set_terms(tenant, Terms(**terms))


class Sharing(StoreRoom):
    @pytest.fixture
    def lane(self) -> Lane:
        return Lane(f"lane-{secrets.token_hex(6)}")

    async def test_the_ring_is_read_by_name_from_anywhere_and_no_further_than_asked(
        self, store: Store, new: Any, path: str
    ) -> None:
        names = [TenantId(f"{path}-{letter}") for letter in "abcd"]
        await put(store, *(new(tenant=name) for name in reversed(names) for _ in range(3)))

        assert [share.tenant for share in await ring(store, path)] == names
        assert [share.tenant for share in await ring(store, path, limit=2)] == names[:2]
        assert [share.tenant for share in await ring(store, path, start=names[2])] == names[2:]

    async def test_a_tenant_without_terms_weighs_one_and_has_no_cap(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        await put(store, new())

        assert await ring(store, path) == [Share(tenant, 1, None)]
        async with store.begin() as tx:
            assert await tx.terms(tenant) == Terms()

    async def test_terms_are_kept_and_replaced_as_a_whole(
        self, store: Store, tenant: TenantId
    ) -> None:
        await agree(
            store,
            tenant,
            weight=3,
            max_running=5,
            max_running_per_lane=2,
            max_queued=9,
            retain_days=7,
        )
        await agree(store, tenant, weight=4)

        async with store.begin() as tx:
            assert await tx.terms(tenant) == Terms(weight=4)

    async def test_a_cap_leaves_room_for_what_neither_runs_nor_is_offered(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        await agree(store, tenant, weight=2, max_running=5)
        _, running, sent, reserved, elsewhere = await put(
            store, new(), new(), new(), new(), new(lane=Lane("another"))
        )
        await grant(store, running)
        await grant(store, elsewhere)
        await send(store, sent)
        async with store.begin() as tx:
            (row,) = (await tx.waiting(path, ECHO, {tenant: 5}))[tenant][1:]
            assert row.job == reserved.id
            await tx.reserve([row], until=await tx.now() + SOON)

        assert await ring(store, path) == [Share(tenant, 2, 1)]

    async def test_the_cap_of_a_lane_counts_that_lane_alone(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        await agree(store, tenant, max_running=10, max_running_per_lane=2)
        _, running, elsewhere = await put(store, new(), new(), new(lane=Lane("another")))
        await grant(store, running)
        await grant(store, elsewhere)

        assert await ring(store, path) == [Share(tenant, 1, 1)]

    async def test_what_has_ended_leaves_room_again(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        await agree(store, tenant, max_running=1)
        _, running = await put(store, new(), new())
        held = await grant(store, running)
        assert (await ring(store, path))[0].room == 0

        await move(store, held, Event.FINISHED)

        assert (await ring(store, path))[0].room == 1

    async def test_each_tenant_shows_as_much_of_its_queue_as_is_wanted(
        self, store: Store, new: Any, path: str
    ) -> None:
        one, other, third = (TenantId(f"{path}-{name}") for name in "abc")
        jobs = await put(store, *(new(tenant=name) for name in (one, other, third) for _ in "123"))

        async with store.begin() as tx:
            found = await tx.waiting(path, ECHO, {one: 1, other: 9, third: 0})

        assert {name: [row.job for row in rows] for name, rows in found.items()} == {
            one: [jobs[0].id],
            other: [job.id for job in jobs[3:6]],
        }

    async def test_a_point_of_priority_is_a_head_start_and_no_more(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        """Of two jobs the older goes first if it is older by more than its priority is lower."""
        (old,) = await put(store, new())
        held = await grant(store, old)
        async with store.begin() as tx:
            age = (await tx.now() - (held.created_at or await tx.now())) // PRIORITY_IS_WORTH
        (urgent,) = await put(store, new(priority=age + 2))
        (usual,) = await put(store, new(priority=0))

        await move(store, held, Event.RELEASED)

        assert await heads(store, path) == {tenant: [urgent.id, old.id, usual.id]}

    async def test_a_paused_lane_does_not_wait_to_be_offered(
        self, store: Store, new: Any, path: str, lane: Lane
    ) -> None:
        await put(store, new(lane=lane), new())

        async with store.begin() as tx:
            since = await tx.pause(lane)
            assert (await tx.paused())[lane] == since
            assert await tx.waiting_lanes(path) == [ECHO]
        async with store.begin() as tx:
            assert await tx.pause(lane) == since  # still since then

    async def test_a_lane_that_goes_on_waits_again_and_that_is_heard_of(
        self, store: Store, new: Any, path: str, lane: Lane
    ) -> None:
        await put(store, new(lane=lane))
        async with store.begin() as tx:
            await tx.pause(lane)
        async with store.hints() as hints:
            await hints.wait(0.05)

            async with store.begin() as tx:
                await tx.resume(lane)

            assert await hints.wait(5)
        async with store.begin() as tx:
            assert lane not in await tx.paused()
            assert await tx.waiting_lanes(path) == [lane]

    async def test_the_backlog_is_what_has_not_started_counted_to_a_bound(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        jobs = await put(store, new(), new(), new(), new(state=State.SCHEDULED))
        await grant(store, jobs[0])

        async with store.begin() as tx:
            assert await tx.backlog(tenant, at_most=100) == 3
            assert await tx.backlog(tenant, at_most=2) == 2
            assert await tx.backlog(None, at_most=3) == 3
            assert await tx.backlog(TenantId("nobody"), at_most=100) == 0

    async def test_a_job_sees_who_is_beside_it(
        self, store: Store, new: Any, path: str, lane: Lane
    ) -> None:
        mine, running, sent, theirs = await put(
            store,
            *(new(lane=lane) for _ in range(3)),
            new(lane=lane, tenant=TenantId(f"{path}-other")),
        )
        await grant(store, running)
        await grant(store, theirs)
        await send(store, sent)

        async with store.begin() as tx:
            assert await tx.crowd(mine) == Crowd(
                offered_at=None,
                running_in_lane=2,
                offered_in_lane=1,
                taken_by_tenant=2,
                taken_by_tenant_in_lane=2,
            )
            assert (await tx.crowd(sent)).offered_at is not None

    async def test_who_holds_the_release_lets_go_when_the_transaction_ends(
        self, store: Store, new: Any
    ) -> None:
        (job,) = await put(store, new())

        async with store.begin() as tx:
            await tx.hold_release()
        with pytest.raises(Boom):
            await reserve_and_fail(store, job)

        async with store.begin() as tx:
            await tx.hold_release()
