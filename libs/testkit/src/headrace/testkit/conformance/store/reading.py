"""What is read: jobs by their tenant, pages, workers, the catalog, hints."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, timedelta
from typing import Any

import pytest

from headrace.contracts.ids import JobId, Lane, TenantId, WorkerId
from headrace.contracts.messages import EngineCard
from headrace.core.job import Event, State, advance
from headrace.core.ports.store import Change, Query, Store
from headrace.testkit.builders import a_job_id
from headrace.testkit.conformance.store.room import SOON, StoreRoom, grant, put, read


class Reading(StoreRoom):
    async def test_only_its_tenant_finds_a_job(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new())

        async with store.begin() as tx:
            assert await tx.find(job.tenant, job.id) == job
            assert await tx.find(TenantId("another"), job.id) is None
            assert await tx.find(job.tenant, a_job_id()) is None
            assert await tx.find(job.tenant, JobId("\0")) is None

    async def test_pages_go_from_the_newest_to_the_oldest_without_a_gap(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        jobs = await put(store, *(new() for _ in range(4)))
        jobs += await put(store, *(new() for _ in range(3)))
        seen, before = [], None

        while True:
            async with store.begin() as tx:
                page = await tx.page(tenant, Query(limit=2, before=before))
            if not page:
                break
            seen += page
            assert page[-1].created_at is not None
            before = (page[-1].created_at, page[-1].id)

        assert len(seen) == 7
        assert {job.id for job in seen} == {job.id for job in jobs}
        assert seen == sorted(seen, key=lambda job: (job.created_at, job.id), reverse=True)

    @pytest.mark.parametrize(
        "query",
        [
            Query(kind="text"),
            Query(model="large"),
            Query(state=State.RUNNING),
            Query(label=("team.name", "a b")),
            Query(label=("7", "seven"), kind="text"),
        ],
    )
    async def test_pages_are_filtered(
        self, store: Store, new: Any, tenant: TenantId, query: Query
    ) -> None:
        wanted, _, _ = await put(
            store,
            new(kind="text", model="large", labels={"team.name": "a b", "7": "seven"}),
            new(labels={"team.name": "b", "team": "a b"}),
            new(),
        )
        wanted = await grant(store, wanted)

        async with store.begin() as tx:
            assert await tx.page(tenant, query) == [wanted]

    async def test_jobs_are_found_by_their_ids(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        first, _, third = await put(store, new(), new(), new())
        (foreign,) = await put(store, new(tenant=TenantId(f"another-{a_job_id()}")))
        ids = [first.id, foreign.id, third.id, a_job_id()]

        async with store.begin() as tx:
            found = await tx.page(tenant, Query(ids=ids))
            none = await tx.page(tenant, Query(ids=[]))

        assert {job.id for job in found} == {first.id, third.id}
        assert none == []

    async def test_pages_are_filtered_by_time(
        self, store: Store, new: Any, tenant: TenantId
    ) -> None:
        (job,) = await put(store, new())
        assert job.created_at is not None

        async with store.begin() as tx:
            assert await tx.page(tenant, Query(created_after=job.created_at - SOON)) == [job]
            assert await tx.page(tenant, Query(created_after=job.created_at + SOON)) == []
            assert await tx.page(tenant, Query(created_before=job.created_at + SOON)) == [job]
            assert await tx.page(tenant, Query(created_before=job.created_at - SOON)) == []

    async def test_a_page_shows_one_tenant(self, store: Store, new: Any) -> None:
        await put(store, new())

        async with store.begin() as tx:
            assert await tx.page(TenantId(f"another-{a_job_id()}"), Query()) == []

    async def test_the_clock_is_aware_and_stands_still(self, store: Store) -> None:
        async with store.begin() as tx:
            first, second = await tx.now(), await tx.now()

        assert first == second
        assert first.tzinfo == UTC

    async def test_a_job_without_attempts_has_no_history(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new())

        async with store.begin() as tx:
            assert await tx.attempts(job.id) == []


class Fleet(StoreRoom):
    @pytest.fixture
    def worker(self) -> WorkerId:
        return WorkerId(f"worker-{secrets.token_hex(6)}")

    async def test_a_worker_is_seen_until_it_is_forgotten(
        self, store: Store, worker: WorkerId
    ) -> None:
        async with store.begin() as tx:
            await tx.see_worker(worker, {Lane("echo"): 1}, path="local")
        async with store.begin() as tx:
            slots = {Lane("echo"): 2, Lane("text"): 1}
            await tx.see_worker(worker, slots, path="distributed")
            now = await tx.now()
            seen = {each.id: each for each in await tx.workers(seen_after=now - SOON)}

        assert seen[worker].slots == slots
        assert seen[worker].path == "distributed"
        assert now - SOON < seen[worker].seen_at
        async with store.begin() as tx:
            await tx.forget_worker(worker)
            assert worker not in {each.id for each in await tx.workers(seen_after=now - SOON)}

    async def test_a_worker_that_was_not_seen_lately_is_not_named(
        self, store: Store, worker: WorkerId
    ) -> None:
        async with store.begin() as tx:
            await tx.see_worker(worker, {}, path="local")
            alive = await tx.workers(seen_after=await tx.now() + SOON)

        assert alive == []

    async def test_a_worker_that_fell_silent_is_purged(
        self, store: Store, worker: WorkerId
    ) -> None:
        async with store.begin() as tx:
            await tx.see_worker(worker, {Lane("echo"): 1}, path="local")
        async with store.begin() as tx:
            now = await tx.now()
            await tx.purge_workers(seen_before=now - SOON, limit=1000)
            assert worker in {each.id for each in await tx.workers(seen_after=now - SOON)}

        async with store.begin() as tx:
            while await tx.purge_workers(seen_before=now + SOON, limit=100):
                pass

        async with store.begin() as tx:
            assert worker not in {each.id for each in await tx.workers(seen_after=now - SOON)}

    async def test_the_catalog_keeps_what_engines_announce(self, store: Store) -> None:
        kind = f"kind-{secrets.token_hex(6)}"
        schema = {"type": "object", "properties": {"prompt": {"type": "string"}}}
        card = EngineCard(Lane("text"), kind, ["small", "large", "default"], schema, "Text")

        async with store.begin() as tx:
            await tx.announce_engines([card])
            await tx.announce_engines([card])
        async with store.begin() as tx:
            found = [each for each in await tx.catalog() if each.kind == kind]

        assert found == [card]

    async def test_of_two_announcements_of_a_model_the_later_counts(self, store: Store) -> None:
        kind = f"kind-{secrets.token_hex(6)}"
        old = EngineCard(Lane("a"), kind, ["one", "two"], {"v": 1}, "Old")
        new = EngineCard(Lane("b"), kind, ["two", "two"], {"v": 2}, "New")

        async with store.begin() as tx:
            await tx.announce_engines([old, new])
        async with store.begin() as tx:
            found = [each for each in await tx.catalog() if each.kind == kind]

        assert found == [
            EngineCard(Lane("a"), kind, ["one"], {"v": 1}, "Old"),
            EngineCard(Lane("b"), kind, ["two"], {"v": 2}, "New"),
        ]


class Hinting(StoreRoom):
    async def test_new_work_is_heard_of(self, store: Store, new: Any) -> None:
        async with store.hints() as hints:
            await hints.wait(0.05)  # what other tests left behind
            await put(store, new())

            assert await hints.wait(5)

    async def test_a_wish_to_cancel_is_heard_of(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new())
        async with store.hints() as hints:
            await hints.wait(0.05)
            async with store.begin() as tx:
                await tx.ask_cancel(job.tenant, job.id)

            assert await hints.wait(5)

    async def test_a_job_that_comes_back_is_heard_of(self, store: Store, new: Any) -> None:
        held = await grant(store, (await put(store, new()))[0])
        async with store.hints() as hints:
            await hints.wait(0.05)
            async with store.begin() as tx:
                before = (await tx.load([held.id]))[held.id]
                await tx.save([Change(before, advance(before, Event.LOST)[1])])

            assert await hints.wait(5)

    async def test_every_listener_hears(self, store: Store, new: Any) -> None:
        async with store.hints() as one, store.hints() as other:
            await one.wait(0.05)
            await other.wait(0.05)
            await put(store, new())

            assert await one.wait(5)
            assert await other.wait(5)

    async def test_silence_ends_in_time(self, store: Store) -> None:
        async with store.hints() as hints:
            await hints.wait(0.05)

            async with asyncio.timeout(5):
                assert not await hints.wait(0.05)

    async def test_reading_is_no_news(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new())
        async with store.hints() as hints:
            await hints.wait(0.05)
            await read(store, job)
            async with store.begin() as tx:
                await tx.workers(seen_after=await tx.now() - timedelta(1))

            assert not await hints.wait(0.05)

    async def test_a_store_in_order_answers_a_ping(self, store: Store) -> None:
        async with asyncio.timeout(5):
            await store.ping()
