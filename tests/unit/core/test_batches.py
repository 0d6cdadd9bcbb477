"""Batches are counted where jobs end, whoever ends them; they are cancelled, told of, and kept with their jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from headrace.contracts.ids import BatchId, JobId, TenantId
from headrace.core.batch import (
    BATCH_LABEL,
    ITEM_LABEL,
    MOST_AT_A_TIME,
    MOST_ITEMS,
    BatchState,
    ItemState,
    Pace,
    Tally,
    end_of_item,
    job_of_item,
    left_for,
)
from headrace.core.errors import UnknownModel
from headrace.core.errors_bulk import BatchNotFound, EmptyBatch, TooManyBatches, TooManyItems
from headrace.core.job import State
from headrace.core.ports.store import Store
from headrace.core.ports.webhooks import CallQuery
from headrace.core.usecases.batches import cancel_batch, find_batch, stop_batches
from headrace.core.usecases.cancel import honour_cancels
from headrace.core.usecases.purge import Kept, purge
from headrace.core.usecases.record import record
from headrace.core.usecases.retry import retry
from headrace.core.usecases.sweep import sweep
from headrace.testkit.builders import a_batch, a_job, a_job_id, an_endpoint
from headrace.testkit.deciding import (
    ANY,
    ECHO,
    OVER,
    PATH,
    POLICY,
    a_failure,
    a_result,
    put,
    taken,
)
from headrace.testkit.memory_blobs import MemoryBlobs
from headrace.testkit.running_batches import (
    BAD,
    GOOD,
    TENANT,
    an_item,
    hand_in,
    jobs_of,
    look,
    results,
    turn,
)


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])


async def test_each_end_is_counted_whoever_brings_it(store: Store, blobs: MemoryBlobs) -> None:
    batch = await hand_in(store, blobs, [GOOD] * 4)
    await turn(store, blobs)
    good, bad, dead, stopped = await jobs_of(store, batch)
    held = await taken(store, good, bad)

    running = await look(store, batch)
    await record(store, [a_result(held[0]), a_failure(held[1], "input")], policy=POLICY, random=ANY)
    await taken(store, dead, lease=OVER)
    await sweep(store, path=PATH, policy=replace(POLICY, losses=1), limit=10)
    async with store.begin() as tx:
        await tx.wish_all([stopped.id])
    await honour_cancels(store, path=PATH, limit=10)

    assert running.running == 2
    over = (await look(store, batch)).batch
    assert over.state is BatchState.ENDED
    assert over.tally == Tally(succeeded=1, failed=1, dead=1, cancelled=1)
    ends = await results(store, batch)
    assert [each.state for each in ends][2:] == [ItemState.DEAD, ItemState.CANCELLED]
    assert {each.place: each.state for each in ends}[1] is ItemState.FAILED


async def test_a_result_that_comes_twice_counts_once(store: Store, blobs: MemoryBlobs) -> None:
    batch = await hand_in(store, blobs, [GOOD] * 2)
    await turn(store, blobs)
    held = await taken(store, (await jobs_of(store, batch))[0])

    for _ in range(2):
        await record(store, [a_result(held[0])], policy=POLICY, random=ANY)

    assert (await look(store, batch)).batch.tally == Tally(succeeded=1)


async def test_a_job_that_only_says_it_belongs_to_a_batch_counts_for_nothing(
    store: Store, blobs: MemoryBlobs
) -> None:
    batch = await hand_in(store, blobs, [GOOD] * 2)
    await turn(store, blobs)
    first, _ = await jobs_of(store, batch)
    await end(store, first)

    async with store.begin() as tx:
        again = await retry(tx, TENANT, first.id, new_id=a_job_id, trace=None)
    forged = await put(store, labels={BATCH_LABEL: batch.id, ITEM_LABEL: "1"})
    await end(store, again)
    await end(store, forged)

    assert (await look(store, batch)).batch.tally == Tally(succeeded=1)


async def test_what_is_left_of_a_cancelled_batch_begins_no_more_and_all_of_it_is_counted(
    store: Store, blobs: MemoryBlobs
) -> None:
    lines = [an_item(custom_id=f"it-{n}") for n in range(5)]
    batch = await hand_in(store, blobs, lines)
    await turn(store, blobs, limit=3)
    done, *_ = await jobs_of(store, batch)
    await end(store, done)

    async with store.begin() as tx:
        wished = await cancel_batch(tx, TENANT, batch.id)
    asked = await stop_batches(store, path=PATH, limit=10)
    await honour_cancels(store, path=PATH, limit=10)
    await turn(store, blobs)

    assert wished.look.batch.state is BatchState.CANCELLING
    assert sorted(asked) == sorted(job_of_item(batch.id, place) for place in (1, 2))
    over = (await look(store, batch)).batch
    assert (over.state, over.tally) == (BatchState.CANCELLED, Tally(succeeded=1, cancelled=4))
    ends = await results(store, batch)
    assert {each.custom_id for each in ends} == {f"it-{n}" for n in range(5)}
    assert await stop_batches(store, path=PATH, limit=10) == []
    async with store.begin() as tx:
        assert (await cancel_batch(tx, TENANT, batch.id)).look.batch == over


async def test_the_end_of_a_batch_is_told_once_to_who_asked_for_it(
    store: Store, blobs: MemoryBlobs
) -> None:
    async with store.begin() as tx:
        wants, *_ = [
            await tx.insert_endpoint(an_endpoint(tenant=tenant, events=events))
            for tenant, events in (
                (TENANT, ("batch.ended",)),
                (TENANT, ()),
                (TenantId("other"), ("batch.ended",)),
            )
        ]
    batch = await hand_in(store, blobs, [GOOD, BAD])
    await turn(store, blobs)
    (job,) = await jobs_of(store, batch)
    await end(store, job)

    async with store.begin() as tx:
        calls = await tx.calls(CallQuery(job=JobId(batch.id)))

    (call,) = calls
    assert (call.endpoint, call.type, call.tenant) == (wants.id, "batch.ended", TENANT)
    data = msgspec.json.decode(call.body)["data"]
    assert (data["id"], data["state"]) == (batch.id, "ended")
    assert (data["counts"]["succeeded"], data["counts"]["rejected"]) == (1, 1)


async def test_a_batch_is_its_tenants_alone(store: Store, blobs: MemoryBlobs) -> None:
    batch = await hand_in(store, blobs, [GOOD])
    other = TenantId("other")

    async with store.begin() as tx:
        with pytest.raises(BatchNotFound):
            await find_batch(tx, other, batch.id)
    async with store.begin() as tx:
        with pytest.raises(BatchNotFound):
            await cancel_batch(tx, other, batch.id)

    assert (await look(store, batch)).batch.cancel_asked_at is None


async def test_a_batch_that_cannot_be_is_refused_at_once(store: Store, blobs: MemoryBlobs) -> None:
    with pytest.raises(EmptyBatch):
        await hand_in(store, blobs, [])
    with pytest.raises(TooManyItems):
        await hand_in(store, blobs, [GOOD], total=MOST_ITEMS + 1)
    with pytest.raises(UnknownModel):
        await hand_in(store, blobs, [GOOD], kind="video")
    with pytest.raises(UnknownModel):
        await hand_in(store, blobs, [GOOD], model="none such")


async def test_a_tenant_has_only_so_many_batches_at_a_time(
    store: Store, blobs: MemoryBlobs
) -> None:
    made = [await hand_in(store, blobs, [BAD]) for _ in range(MOST_AT_A_TIME)]

    with pytest.raises(TooManyBatches):
        await hand_in(store, blobs, [GOOD])
    await turn(store, blobs)

    assert len(made) == MOST_AT_A_TIME
    assert (await hand_in(store, blobs, [GOOD])).begun == 0


async def test_jobs_of_a_batch_stay_as_long_as_it(store: Store, blobs: MemoryBlobs) -> None:
    batch = await hand_in(store, blobs, [GOOD] * 2)
    await turn(store, blobs)
    first, second = await jobs_of(store, batch)
    await end(store, first)
    days = timedelta(days=3)

    await purge(store, blobs, kept=Kept(jobs=days), limit=10)
    half = await results(store, batch)
    await end(store, second)
    await purge(store, blobs, kept=Kept(jobs=days), limit=10)

    assert half[0].output == {}
    assert [each.state for each in await results(store, batch)] == [ItemState.SUCCEEDED] * 2
    assert (TENANT, batch.source) in blobs.kept


def test_a_job_is_an_item_if_its_id_says_so_and_not_if_only_its_labels_do() -> None:
    batch = BatchId("b")
    labels = {BATCH_LABEL: batch, ITEM_LABEL: "7"}
    item = a_job(id=job_of_item(batch, 7), labels=labels, state=State.DEAD)

    found = end_of_item(item)

    assert found is not None
    assert (found.batch, found.place, found.state) == (batch, 7, ItemState.DEAD)
    assert end_of_item(a_job(labels=labels, state=State.DEAD)) is None
    assert end_of_item(a_job(id=JobId("j"), labels={BATCH_LABEL: "b"}, state=State.DEAD)) is None
    odd = {BATCH_LABEL: "b", ITEM_LABEL: "²"}
    assert end_of_item(a_job(labels=odd, state=State.DEAD)) is None


def test_how_long_it_takes_is_said_only_where_it_can_be_known() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    batch = a_batch(total=100, tally=Tally(succeeded=40))
    minute = now - timedelta(minutes=1)

    assert left_for(batch, Pace(30, minute), now) == timedelta(minutes=2)
    assert left_for(batch, Pace(19, minute), now) is None
    assert left_for(batch, None, now) is None
    assert left_for(batch, Pace(30, now), now) is None
    assert left_for(replace(batch, finished_at=now), Pace(30, minute), now) is None


async def end(store: Store, job: Any) -> None:
    held = await taken(store, job)
    await record(store, [a_result(held[0], output={})], policy=POLICY, random=ANY)
