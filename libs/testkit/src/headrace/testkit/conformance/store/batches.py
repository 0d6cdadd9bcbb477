"""Batches: kept as they were, begun by one at a time, and counted as their items end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from headrace.contracts.ids import BlobId, TenantId
from headrace.core.batch import (
    BATCH_LABEL,
    ITEM_LABEL,
    Batch,
    BatchState,
    ItemEnd,
    ItemState,
    NewItem,
    Tally,
    job_of_item,
)
from headrace.core.job import Event
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.store import Store
from headrace.core.ports.upkeep import BlobUse
from headrace.testkit.builders import a_batch, a_job_id
from headrace.testkit.conformance.store.room import SOON, StoreRoom, grant, move, put


class KeepingBatches(StoreRoom):
    async def test_a_batch_comes_back_as_it_was(self, store: Store, tenant: TenantId) -> None:
        made = await keep(
            store, a_batch(tenant=tenant, model="m", labels={"a": "ß"}, priority=3, timeout_s=1.5)
        )

        assert await seen(store, made) == made
        assert (made.state, made.tally.ended) == (BatchState.RUNNING, 0)
        async with store.begin() as tx:
            assert await tx.look_at_batch(TenantId("another"), made.id) is None

    async def test_batches_are_listed_newest_first_and_page_by_page(
        self, store: Store, tenant: TenantId
    ) -> None:
        made = [await keep(store, a_batch(tenant=tenant)) for _ in range(3)]
        other = await keep(store, a_batch(tenant=TenantId(f"{tenant}-other")))

        async with store.begin() as tx:
            first = [it.batch for it in await tx.page_batches(tenant, before=None, limit=2)]
            before = (created(first[-1]), first[-1].id)
            rest = [it.batch for it in await tx.page_batches(tenant, before=before, limit=2)]
            everybodys = [it.batch for it in await tx.page_batches(None, before=None, limit=1)]

        newest_first = sorted(made, key=lambda each: (created(each), each.id), reverse=True)
        assert [*first, *rest] == newest_first
        assert everybodys == [other]

    async def test_who_has_taken_a_batch_has_it_for_a_while(
        self, store: Store, path: str, tenant: TenantId
    ) -> None:
        first = await keep(store, a_batch(tenant=tenant, path=path))
        second = await keep(store, a_batch(tenant=tenant, path=path))

        taken = [await take(store, path) for _ in range(3)]
        again = await take(store, path, lease=-SOON)

        assert [None if each is None else each.id for each in taken] == [first.id, second.id, None]
        assert again is None
        assert await take(store, f"{path}-other") is None

    async def test_a_turn_that_is_over_by_itself_goes_to_the_next(
        self, store: Store, path: str, tenant: TenantId
    ) -> None:
        made = await keep(store, a_batch(tenant=tenant, path=path))

        assert (await taken(store, path, lease=-SOON)).id == made.id
        assert (await taken(store, path, lease=-SOON)).id == made.id

    async def test_items_begin_once_and_the_batch_says_how_far_it_is(
        self, store: Store, path: str, tenant: TenantId
    ) -> None:
        made = await keep(store, a_batch(tenant=tenant, path=path, total=3))
        open_ = NewItem(place=0, custom_id="a", job=job_of_item(made.id, 0))
        bad = NewItem(place=1, state=ItemState.REJECTED, error={"message": "no"})

        async with store.begin() as tx:
            after = replace(made, begun=2, read_to=40, not_before=made.created_at)
            assert await tx.begin_items(made, after, [open_, bad]) is True
            assert await tx.begin_items(made, after, [open_, bad]) is False

        found = await seen(store, made)
        assert (found.begun, found.read_to, found.tally) == (2, 40, Tally(rejected=1))
        (ended,) = await ends(store, made)
        assert (ended.place, ended.state, ended.error) == (1, ItemState.REJECTED, {"message": "no"})
        assert (ended.job, ended.output) == (None, None)

    async def test_a_batch_with_nothing_left_to_begin_is_nobodys_turn(
        self, store: Store, path: str, tenant: TenantId
    ) -> None:
        made = await keep(store, a_batch(tenant=tenant, path=path, total=1))
        await begin(store, made, NewItem(place=0, job=job_of_item(made.id, 0)))

        assert await take(store, path) is None

    async def test_nothing_begins_that_was_made_ready_before_a_wish_to_cancel(
        self, store: Store, path: str, tenant: TenantId
    ) -> None:
        made = await keep(store, a_batch(tenant=tenant, path=path, total=2))
        item = NewItem(place=0, state=ItemState.CANCELLED)
        after = replace(made, begun=1)

        async with store.begin() as tx:
            await tx.ask_cancel_batch(tenant, made.id)
            assert await tx.begin_items(made, after, [item]) is False
        wished = await seen(store, made)
        async with store.begin() as tx:
            assert await tx.begin_items(wished, replace(wished, begun=1), [item]) is True

        assert wished.state is BatchState.CANCELLING
        assert (await seen(store, made)).tally == Tally(cancelled=1)

    async def test_ends_are_counted_numbered_and_read_in_their_order(
        self, store: Store, path: str, tenant: TenantId, new: Any
    ) -> None:
        made = await keep(store, a_batch(tenant=tenant, path=path, total=3))
        jobs = await put(store, *(an_item(new, made, place) for place in range(3)))
        await begin(store, made, *(NewItem(place=n, job=job.id) for n, job in enumerate(jobs)))
        for job in jobs:
            await grant(store, job)
            await move(store, job, Event.FINISHED, output={"said": job.id})

        async with store.begin() as tx:
            await tx.end_items([ItemEnd(made.id, 2, ItemState.SUCCEEDED)])
        early = await seen(store, made)
        async with store.begin() as tx:
            later = [ItemEnd(made.id, place, ItemState.FAILED) for place in (1, 0)]
            await tx.end_items(later)

        over, all_ = await seen(store, made), await ends(store, made)
        assert (early.over, early.tally) == (False, Tally(succeeded=1))
        assert (over.state, over.tally) == (BatchState.ENDED, Tally(succeeded=1, failed=2))
        assert [each.place for each in all_] == [2, 1, 0]
        assert all_[0].output == {"said": jobs[2].id}
        assert await ends(store, made, after=all_[0].number) == all_[1:]
        assert await ends(store, made, wrong=True) == all_[1:]
        async with store.begin() as tx:
            assert await tx.ended_items(made.id, after=0, limit=1) == all_[:1]

    async def test_a_look_counts_the_jobs_that_workers_hold(
        self, store: Store, path: str, tenant: TenantId, new: Any
    ) -> None:
        made = await keep(store, a_batch(tenant=tenant, path=path))
        held, waiting = await put(store, an_item(new, made, 0), an_item(new, made, 1))
        again = await put(store, new(labels=labels(made, 0)))
        await begin(store, made, NewItem(place=0, job=held.id), NewItem(place=1, job=waiting.id))
        await grant(store, held)
        await grant(store, again[0])

        async with store.begin() as tx:
            look = await tx.look_at_batch(tenant, made.id)
            (listed,) = await tx.page_batches(tenant, before=None, limit=5)

        assert look is not None
        assert (look.running, listed.running) == (1, 1)

    async def test_a_pace_is_of_the_latest_ends_of_jobs(
        self, store: Store, path: str, tenant: TenantId
    ) -> None:
        made = await keep(store, a_batch(tenant=tenant, path=path, total=3))
        bad = NewItem(place=2, state=ItemState.REJECTED)
        await begin(store, made, *(NewItem(place=n, job=a_job_id()) for n in range(2)), bad)

        async with store.begin() as tx:
            before = await tx.pace_of_batch(made.id)
            await tx.end_items([ItemEnd(made.id, 0, ItemState.SUCCEEDED)])
            now = await tx.now()
        async with store.begin() as tx:
            pace = await tx.pace_of_batch(made.id)

        assert before is None
        assert pace is not None
        assert pace.ends == 1
        assert abs(pace.since - now) < timedelta(seconds=1)

    async def test_jobs_of_a_batch_that_is_cancelled_are_found_until_somebody_asks_them_to_end(
        self, store: Store, path: str, tenant: TenantId, new: Any
    ) -> None:
        stop, going = [
            await keep(store, a_batch(tenant=tenant, path=path, total=2)) for _ in range(2)
        ]
        jobs = await put(
            store, an_item(new, stop, 0), an_item(new, stop, 1), an_item(new, going, 0)
        )
        await begin(store, stop, *(NewItem(place=n, job=jobs[n].id) for n in (0, 1)))
        await begin(store, going, NewItem(place=0, job=jobs[2].id))

        async with store.begin() as tx:
            await tx.ask_cancel_batch(tenant, stop.id)
            await tx.ask_cancel_batch(TenantId("another"), going.id)
            first = await tx.items_to_stop(path, limit=1)
            await tx.wish_all(first)
            rest = await tx.items_to_stop(path, limit=10)
            await tx.wish_all(rest)
            nothing = await tx.items_to_stop(path, limit=10)

        assert sorted([*first, *rest]) == sorted(job.id for job in jobs[:2])
        assert nothing == []

    async def test_an_old_batch_goes_with_its_items_and_what_only_it_named(
        self, store: Store, path: str, tenant: TenantId, new: Any
    ) -> None:
        over = await keep(store, a_batch(tenant=tenant, path=path, total=1))
        going = await keep(store, a_batch(tenant=tenant, path=path))
        (job, stays) = await put(store, an_item(new, over, 0), an_item(new, going, 0))
        for each in (job, stays):
            await grant(store, each)
            await move(store, each, Event.FINISHED)
        blob = BlobId(f"blob-{over.id}")
        async with store.begin() as tx:
            await tx.use_blobs([BlobUse(tenant, blob, over.id)])
        await begin(store, over, NewItem(place=0, job=job.id))
        async with store.begin() as tx:
            await tx.end_items([ItemEnd(over.id, 0, ItemState.SUCCEEDED)])

        async with store.begin() as tx:
            then = await tx.now() + SOON
            await tx.purge_jobs(finished_before=then, limit=1000)
            kept_as_long = await tx.load([job.id, stays.id])
            other = TenantId(f"{tenant}-other")
            theirs = await tx.purge_batches(finished_before=then, limit=1000, tenant=other)
            purged = await tx.purge_batches(finished_before=then, limit=1000)
            await tx.purge_jobs(finished_before=then, limit=1000)
            left = await tx.load([job.id, stays.id])
            assert await tx.look_at_batch(tenant, over.id) is None
            assert await tx.ended_items(over.id, after=0, limit=10) == []

        assert set(kept_as_long) == {job.id, stays.id}
        assert set(left) == {stays.id}
        assert theirs.batches == 0
        assert BlobRef(tenant, blob) in purged.orphans
        assert (await seen(store, going)).id == going.id


def created(batch: Batch) -> datetime:
    assert batch.created_at is not None
    return batch.created_at


def labels(batch: Batch, place: int) -> dict[str, str]:
    return {BATCH_LABEL: batch.id, ITEM_LABEL: str(place)}


def an_item(new: Any, batch: Batch, place: int) -> Any:
    return new(id=job_of_item(batch.id, place), labels=labels(batch, place))


async def keep(store: Store, batch: Batch) -> Batch:
    async with store.begin() as tx:
        return await tx.insert_batch(batch)


async def seen(store: Store, batch: Batch) -> Batch:
    async with store.begin() as tx:
        look = await tx.look_at_batch(batch.tenant, batch.id)
    assert look is not None
    return look.batch


async def take(store: Store, path: str, *, lease: timedelta = SOON) -> Batch | None:
    async with store.begin() as tx:
        return await tx.take_batch(path, until=await tx.now() + lease)


async def taken(store: Store, path: str, *, lease: timedelta) -> Batch:
    batch = await take(store, path, lease=lease)
    assert batch is not None
    return batch


async def begin(store: Store, batch: Batch, *items: NewItem) -> None:
    async with store.begin() as tx:
        assert await tx.begin_items(batch, replace(batch, begun=len(items)), items)


async def ends(store: Store, batch: Batch, *, after: int = 0, wrong: bool = False) -> list[Any]:
    async with store.begin() as tx:
        return list(await tx.ended_items(batch.id, after=after, limit=100, wrong=wrong))
