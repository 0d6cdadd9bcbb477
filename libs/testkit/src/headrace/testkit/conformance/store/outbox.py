"""The outbox: who waits is offered once, fairly sorted, and found again when an offer is lost."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.contracts.ids import JobId, Lane, TenantId
from headrace.core.job import Event, Job, State
from headrace.core.ports.store import NewJob, Store, Waiting
from headrace.testkit.conformance.store.room import SOON, Boom, StoreRoom, grant, move, put

ECHO = Lane("echo")


async def heads(
    store: Store, path: str, *, lane: Lane = ECHO, per_tenant: int = 10
) -> dict[TenantId, list[JobId]]:
    async with store.begin() as tx:
        tenants = [share.tenant for share in await tx.shares(path, lane, start=None, limit=100)]
        waiting = await tx.waiting(path, lane, dict.fromkeys(tenants, per_tenant))
    return {tenant: [row.job for row in rows] for tenant, rows in waiting.items()}


def rows_of(*jobs: Job) -> list[Waiting]:
    return [Waiting(job.id, job.epoch, job.tenant, job.trace) for job in jobs]


async def send(store: Store, *jobs: Job) -> list[Waiting]:
    rows = rows_of(*jobs)
    async with store.begin() as tx:
        won = await tx.reserve(rows, until=await tx.now() + SOON)
        await tx.mark_sent(won)
    return won


async def reserve_and_fail(store: Store, job: Job) -> None:
    async with store.begin() as tx:
        assert await tx.reserve(rows_of(job), until=await tx.now() + SOON)
        raise Boom


async def offered(store: Store, path: str) -> int:
    async with store.begin() as tx:
        return await tx.offered(path, ECHO)


class Outbox(StoreRoom):
    async def test_a_queued_job_waits_and_a_scheduled_one_does_not(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        queued, _ = await put(store, new(trace="00-1-2-01"), new(state=State.SCHEDULED))

        async with store.begin() as tx:
            waiting = await tx.waiting(path, ECHO, {tenant: 10})

        assert waiting == {tenant: [Waiting(queued.id, 0, tenant, "00-1-2-01")]}

    async def test_the_highest_priority_is_first_then_the_oldest(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        low, first, second, high = await put(store, new(priority=-1), new(), new(), new(priority=5))
        (third,) = await put(store, new())

        assert await heads(store, path) == {
            tenant: [high.id, first.id, second.id, third.id, low.id]
        }

    async def test_every_tenant_shows_its_head(self, store: Store, new: Any, path: str) -> None:
        tenants = [TenantId(f"{path}-{name}") for name in ("a", "b", "c")]
        jobs = await put(store, *(new(tenant=tenant) for tenant in tenants for _ in range(3)))

        found = await heads(store, path, per_tenant=2)

        assert found == {
            tenant: [job.id for job in jobs if job.tenant == tenant][:2] for tenant in tenants
        }

    async def test_lanes_and_paths_are_apart(self, store: Store, new: Any, path: str) -> None:
        here, there = Lane("here"), Lane("there")
        one, two = await put(store, new(lane=here), new(lane=there))
        await put(store, new(path=f"{path}-other", lane=Lane("elsewhere")))

        async with store.begin() as tx:
            assert await tx.waiting_lanes(path) == [here, there]
        assert await heads(store, path, lane=here) == {one.tenant: [one.id]}
        assert await heads(store, path, lane=there) == {two.tenant: [two.id]}

    async def test_a_reserved_row_no_longer_waits(self, store: Store, new: Any, path: str) -> None:
        jobs = await put(store, new(), new())
        rows = rows_of(*jobs)

        async with store.begin() as tx:
            won = await tx.reserve(rows[:1], until=await tx.now() + SOON)

        assert won == rows[:1]
        assert await heads(store, path) == {jobs[1].tenant: [jobs[1].id]}
        assert await offered(store, path) == 1

    async def test_a_row_is_reserved_once(self, store: Store, new: Any, path: str) -> None:
        rows = rows_of(*await put(store, new(), new(), new()))

        async with store.begin() as tx:
            first = await tx.reserve(rows[:2], until=await tx.now() + SOON)
        async with store.begin() as tx:
            second = await tx.reserve(rows, until=await tx.now() + SOON)

        assert first == rows[:2]
        assert second == rows[2:]
        async with store.begin() as tx:
            assert await tx.waiting_lanes(path) == []

    async def test_a_reservation_lapses_by_itself(self, store: Store, new: Any, path: str) -> None:
        (job,) = await put(store, new())
        rows = rows_of(job)

        async with store.begin() as tx:
            await tx.reserve(rows, until=await tx.now() - SOON)

        assert await heads(store, path) == {job.tenant: [job.id]}
        assert await offered(store, path) == 0
        async with store.begin() as tx:
            assert await tx.waiting_lanes(path) == [ECHO]
            assert await tx.reserve(rows, until=await tx.now() + SOON) == rows

    async def test_a_row_of_another_epoch_is_not_reserved(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new())

        async with store.begin() as tx:
            won = await tx.reserve(
                [Waiting(job.id, 7, job.tenant, None)], until=await tx.now() + SOON
            )

        assert won == []

    async def test_what_was_certainly_not_sent_waits_again(
        self, store: Store, new: Any, path: str
    ) -> None:
        (job,) = await put(store, new())
        rows = rows_of(job)
        async with store.begin() as tx:
            await tx.reserve(rows, until=await tx.now() + SOON)

        async with store.begin() as tx:
            await tx.unreserve(rows)

        assert await heads(store, path) == {job.tenant: [job.id]}
        assert await offered(store, path) == 0

    async def test_what_was_sent_is_offered_until_it_is_claimed(
        self, store: Store, new: Any, path: str
    ) -> None:
        jobs = await put(store, new(), new())
        await send(store, *jobs)
        assert await heads(store, path) == {}
        assert await offered(store, path) == 2

        await grant(store, jobs[0])

        assert await offered(store, path) == 1

    async def test_an_old_offer_is_found_and_offered_again(
        self, store: Store, new: Any, path: str
    ) -> None:
        (job,) = await put(store, new())
        await send(store, job)

        async with store.begin() as tx:
            now = await tx.now()
            assert await tx.sent_before(path, now - SOON, limit=10) == {}
            old = await tx.sent_before(path, now + SOON, limit=10)
            await tx.resend(old[ECHO])

        assert old == {ECHO: rows_of(job)}
        assert await heads(store, path) == {job.tenant: [job.id]}
        assert await offered(store, path) == 0

    async def test_old_offers_are_limited(self, store: Store, new: Any, path: str) -> None:
        await send(store, *await put(store, new(), new(), new()))

        async with store.begin() as tx:
            old = await tx.sent_before(path, await tx.now() + SOON, limit=2)

        assert len(old[ECHO]) == 2

    async def test_old_offers_are_limited_lane_by_lane(
        self, store: Store, new: Any, path: str
    ) -> None:
        crowd = await put(store, new(), new(), new())
        (other,) = await put(store, new(lane=Lane("flow")))
        await send(store, *crowd, other)

        async with store.begin() as tx:
            old = await tx.sent_before(path, await tx.now() + SOON, limit=2)

        assert len(old[ECHO]) == 2
        assert old[Lane("flow")] == rows_of(other)

    async def test_who_leaves_the_queue_leaves_the_outbox(
        self, store: Store, new: Any, path: str
    ) -> None:
        waiting, reserved, sent = await put(store, new(), new(), new())
        async with store.begin() as tx:
            await tx.reserve(rows_of(reserved), until=await tx.now() + SOON)
        await send(store, sent)

        for job in (waiting, reserved, sent):
            await move(store, job, Event.CANCEL_ASKED)

        assert await heads(store, path) == {}
        assert await offered(store, path) == 0

    async def test_who_comes_back_to_the_queue_is_as_old_as_before(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        old, young = await put(store, new(), new())
        await send(store, old)

        back = await move(store, await grant(store, old), Event.RELEASED)

        assert back.epoch == 2
        async with store.begin() as tx:
            (first, second) = (await tx.waiting(path, ECHO, {tenant: 10}))[tenant]
        assert (first.job, first.epoch) == (old.id, 2)
        assert second.job == young.id

    async def test_marks_of_an_older_epoch_change_nothing(
        self, store: Store, new: Any, path: str
    ) -> None:
        (job,) = await put(store, new())
        stale = await send(store, job)
        await move(store, await grant(store, job), Event.LOST)

        async with store.begin() as tx:
            await tx.mark_sent(stale)
            await tx.unreserve(stale)

        assert await heads(store, path) == {job.tenant: [job.id]}

    async def test_ahead_counts_the_own_queue(self, store: Store, new: Any) -> None:
        jobs = await put(store, new(), new(), new(priority=1))

        async with store.begin() as tx:
            ahead = [await tx.ahead(job) for job in jobs]

        assert ahead == [1, 2, 0]

    async def test_ahead_counts_the_turns_of_others(
        self, store: Store, new: Any, path: str
    ) -> None:
        """Tenants take turns: who is second in its queue waits for two jobs of each other one."""
        other, third = TenantId(f"{path}-other"), TenantId(f"{path}-third")
        await put(store, *(new(tenant=other) for _ in range(5)), new(tenant=third))
        _, second = await put(store, new(), new())

        async with store.begin() as tx:
            assert await tx.ahead(second) == 1 + 2 + 1

    async def test_nothing_is_ahead_of_what_does_not_wait(self, store: Store, new: Any) -> None:
        jobs: list[NewJob] = [new(), new()]
        first, second = await put(store, *jobs)
        held = await grant(store, second)

        async with store.begin() as tx:
            assert await tx.ahead(held) == 0
            assert await tx.ahead(first) == 0

    async def test_reservations_end_with_the_transaction_that_failed(
        self, store: Store, new: Any, path: str
    ) -> None:
        (job,) = await put(store, new())

        with pytest.raises(Boom):
            await reserve_and_fail(store, job)

        assert await heads(store, path) == {job.tenant: [job.id]}
