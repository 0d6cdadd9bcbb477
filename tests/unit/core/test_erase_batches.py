"""A batch goes as a whole: out of sight at once, its items with their jobs a bounded number at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from headrace.adapters.store.sql import SqlStore
from headrace.contracts.ids import TenantId
from headrace.core.batch import Batch
from headrace.core.errors_bulk import BatchNotFound, BatchNotOver, JobOfBatch
from headrace.core.job import Job
from headrace.core.ports.deletions import Deletion, Sweep
from headrace.core.usecases.erase import (
    AT_ONCE,
    Asking,
    delete_batch,
    delete_job,
    delete_jobs,
)
from headrace.core.usecases.record import record
from headrace.core.usecases.retry import retry
from headrace.testkit.builders import a_job_id, an_endpoint
from headrace.testkit.deciding import ANY, ECHO, POLICY, a_result, taken
from headrace.testkit.leavings import ASKING, ZEBRA, World
from headrace.testkit.running_batches import BAD, an_item, hand_in, jobs_of, results, turn
from headrace.testkit.running_runs import TENANT

ITEM = an_item(input={"text": ZEBRA}, labels={"of": ZEBRA}, custom_id=ZEBRA)


@pytest.fixture
async def world(store: SqlStore) -> World:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])
        await tx.insert_endpoint(an_endpoint(tenant=TENANT, events=["batch.ended"]))
    return World(store)


async def begun(world: World, *lines: bytes) -> tuple[Batch, list[Job]]:
    batch = await hand_in(world.store, world.blobs, lines, labels={"customer": "4711"})
    await turn(world.store, world.blobs, limit=len(lines))
    jobs = await jobs_of(world.store, batch)
    world.jobs += [job.id for job in jobs]
    for job in jobs:
        await world.say(job.id, 1)
    return batch, jobs


async def ended(world: World, *lines: bytes) -> tuple[Batch, list[Job]]:
    batch, jobs = await begun(world, *lines)
    held = await taken(world.store, *jobs)
    said = [a_result(job, output={"text": ZEBRA}) for job in held]
    await record(world.store, said, policy=POLICY, random=ANY)
    return batch, jobs


async def delete(world: World, batch: Batch, *, cancel: bool = False) -> Deletion:
    async with world.store.begin() as tx:
        return await delete_batch(tx, ASKING, batch.id, cancel=cancel)


async def test_nothing_of_a_deleted_batch_is_left_anywhere(world: World) -> None:
    batch, _ = await ended(world, ITEM, BAD, ITEM)
    where = set(await world.trace_of(ZEBRA))
    assert {"jobs", "batch_items", batch.source} <= where

    over = await world.until_over(await delete(world, batch))

    assert await world.trace_of(ZEBRA) == []
    assert await world.trace_of(batch.id) == ["audit", "deletions"]
    assert {name: over.removed[name] for name in ("batches", "items", "jobs", "blobs")} == {
        "batches": 1,
        "items": 3,
        "jobs": 2,
        "blobs": 1,
    }
    assert over.removed["deliveries"] == 1  # that it had ended


async def test_a_batchs_job_does_not_go_alone_but_one_that_was_tried_again_does(
    world: World,
) -> None:
    batch, (job, _) = await ended(world, ITEM, ITEM)
    async with world.store.begin() as tx:
        again = await retry(tx, TENANT, job.id, new_id=a_job_id, trace=None)

    with pytest.raises(JobOfBatch, match=batch.id):
        await world.delete(job.id)
    await world.until_over(await world.delete(again.id, cancel=True))

    assert len(await results(world.store, batch)) == 2


async def test_a_batch_that_goes_on_is_refused_or_cancelled_first(world: World) -> None:
    batch, _ = await begun(world, ITEM, ITEM)
    with pytest.raises(BatchNotOver):
        await delete(world, batch)

    wish = await delete(world, batch, cancel=True)
    same = await delete(world, batch, cancel=True)
    over = await world.until_over(wish)

    assert same.id == wish.id
    assert (over.removed["items"], over.removed["jobs"]) == (2, 2)
    assert await world.trace_of(ZEBRA) == []


async def test_one_with_many_items_is_out_of_sight_at_once_and_goes_in_steps(world: World) -> None:
    many = AT_ONCE + 50
    batch, _ = await ended(world, *[ITEM] * many)

    wish = await delete(world, batch)

    assert (wish.removed["items"], wish.next_at is None) == (AT_ONCE, False)
    async with world.store.begin() as tx:
        assert await tx.look_at_batch(TENANT, batch.id) is None
    over = await world.until_over(wish)
    assert (over.removed["items"], over.removed["jobs"]) == (many, many)
    assert await world.trace_of(ZEBRA) == []


async def test_again_is_the_same_wish_and_another_tenants_is_not_found(world: World) -> None:
    batch, (job,) = await ended(world, ITEM)
    wish = await delete(world, batch)

    async with world.store.begin() as tx:
        assert (await delete_batch(tx, ASKING, batch.id, cancel=False)).id == wish.id
        assert (await delete_job(tx, ASKING, job.id, cancel=False)).id == wish.id
        with pytest.raises(BatchNotFound):
            await delete_batch(tx, Asking(TenantId("other"), "k", a_job_id), batch.id, cancel=False)


async def test_by_label_a_batch_goes_as_a_whole_once_it_is_over(world: World) -> None:
    over_, _ = await ended(world, ITEM, ITEM)
    going, jobs = await begun(world, ITEM)

    async with world.store.begin() as tx:
        sweep = Sweep(made_before=await tx.now() + timedelta(1), labels={"customer": "4711"})
        wish = await delete_jobs(tx, ASKING, sweep)
    over = await world.until_over(wish)

    assert (over.removed["batches"], over.removed["items"], over.removed["jobs"]) == (1, 2, 2)
    async with world.store.begin() as tx:
        assert await tx.look_at_batch(TENANT, over_.id) is None
        assert await tx.look_at_batch(TENANT, going.id) is not None
        assert len(await tx.load([job.id for job in jobs])) == 1
        deed = (await tx.audited(before=None, limit=1))[0].deed
    assert deed.detail["ids"] == [over_.id]


async def test_with_a_tenant_its_batches_go_also_those_that_have_not_begun(world: World) -> None:
    await ended(world, ITEM)
    await hand_in(world.store, world.blobs, [ITEM, ITEM])

    over = await world.until_over(await world.delete_all())

    assert over.removed["batches"] == 2
    assert await world.trace_of(ZEBRA) == []
