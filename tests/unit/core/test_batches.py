"""Batches: items begin some at a time, each once; a bad one fails alone; all are counted where jobs end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from headrace.contracts.ids import BatchId, JobId, TenantId
from headrace.contracts.messages import INPUT_BLOB
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
from headrace.core.errors import (
    BatchNotFound,
    EmptyBatch,
    TooManyBatches,
    TooManyItems,
    UnknownModel,
)
from headrace.core.job import State
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.store import Store, Terms
from headrace.core.ports.webhooks import CallQuery
from headrace.core.usecases.batches import cancel_batch, find_batch, stop_batches
from headrace.core.usecases.cancel import honour_cancels
from headrace.core.usecases.expand import Sources, expand
from headrace.core.usecases.purge import Kept, purge
from headrace.core.usecases.record import record
from headrace.core.usecases.retry import retry
from headrace.core.usecases.sweep import sweep
from headrace.testkit.builders import LONG_AGO, a_batch, a_job, a_job_id, an_endpoint
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
    expansion,
    hand_in,
    jobs_of,
    look,
    results,
    turn,
)
from headrace.testkit.unruly import UnrulyStore


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])


async def test_items_begin_some_at_a_time_each_as_a_job(store: Store, blobs: MemoryBlobs) -> None:
    terms: dict[str, Any] = {"priority": 4, "labels": {"who": "me"}, "timeout_s": 9.0}
    batch = await hand_in(store, blobs, [GOOD] * 5, model="large", trace="00-1-2-01", **terms)

    first = await turn(store, blobs, limit=3)
    some = await jobs_of(store, batch)
    await turn(store, blobs, limit=3)
    all_ = await jobs_of(store, batch)

    assert first is not None
    assert first.batch.begun == len(some) == 3
    assert [job.id for job in all_] == [job_of_item(batch.id, place) for place in range(5)]
    assert {(job.state, job.spec.model, job.spec.priority, job.trace) for job in all_} == {
        (State.QUEUED, "large", 4, "00-1-2-01")
    }
    assert all_[4].spec.timeout_s == 9.0
    assert all_[4].spec.labels == {"who": "me", BATCH_LABEL: batch.id, ITEM_LABEL: "4"}
    assert await turn(store, blobs) is None


async def test_an_item_says_what_is_its_own(store: Store, blobs: MemoryBlobs) -> None:
    own = an_item(model="small", priority=-2, labels={"who": "you", "more": "x"}, custom_id="it")
    batch = await hand_in(store, blobs, [own], model="large", priority=1, labels={"who": "me"})

    await turn(store, blobs)

    (job,) = await jobs_of(store, batch)
    assert (job.spec.model, job.spec.priority) == ("small", -2)
    assert (job.spec.labels["who"], job.spec.labels["more"]) == ("you", "x")
    await end(store, job)
    assert [each.custom_id for each in await results(store, batch)] == ["it"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (BAD, "it is not JSON"),
        (an_item(input={"bad": 1}), "/bad: says so itself"),
        (an_item(model="huge"), "no engine runs model 'huge'"),
        (an_item(labels={f"l{n}": "" for n in range(14)}), "more than 14 labels"),
        (an_item(input={"blobs": [{"blob": f"b{n}"} for n in range(65)]}), "names 65 blobs"),
    ],
)
async def test_a_bad_item_is_rejected_alone_and_says_why(
    store: Store, blobs: MemoryBlobs, line: bytes, why: str
) -> None:
    batch = await hand_in(store, blobs, [GOOD, line, GOOD], labels={"one": "more"})

    await turn(store, blobs)

    assert len(await jobs_of(store, batch)) == 2
    assert (await look(store, batch)).batch.tally == Tally(rejected=1)
    (bad,) = await results(store, batch)
    assert (bad.place, bad.state, bad.job) == (1, ItemState.REJECTED, None)
    assert bad.error is not None
    assert why in bad.error["message"]


async def test_a_batch_of_nothing_but_bad_items_is_over_when_they_were_looked_at(
    store: Store, blobs: MemoryBlobs
) -> None:
    batch = await hand_in(store, blobs, [BAD] * 3)

    await turn(store, blobs)

    found = (await look(store, batch)).batch
    assert (found.state, found.tally) == (BatchState.ENDED, Tally(rejected=3))


async def test_what_was_handed_in_and_is_gone_is_rejected(store: Store, blobs: MemoryBlobs) -> None:
    batch = await hand_in(store, blobs, [GOOD] * 3)
    await turn(store, blobs, limit=1)
    await blobs.delete(TENANT, batch.source)

    await turn(store, blobs)

    assert (await look(store, batch)).batch.tally == Tally(rejected=2)


async def test_a_large_input_is_kept_as_a_blob(store: Store, blobs: MemoryBlobs) -> None:
    batch = await hand_in(store, blobs, [an_item(input={"text": "x" * 100_000})])

    await turn(store, blobs)

    (job,) = await jobs_of(store, batch)
    ((name, blob),) = job.spec.input.items()
    assert name == INPUT_BLOB
    assert len((await blobs.get(TENANT, blob)).data) > 100_000
    async with store.begin() as tx:
        assert await tx.unused([BlobRef(TENANT, blob)]) == []


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


async def test_two_dispatchers_begin_no_item_twice(store: Store, blobs: MemoryBlobs) -> None:
    """The second reads while the first, which had the batch for too long, has not written yet."""
    batch = await hand_in(store, blobs, [GOOD] * 4)
    late = Late(store, blobs)

    lost = await expand(store, late, expansion(), path=PATH, limit=2)

    assert late.other is not None
    assert lost is None
    assert len(await jobs_of(store, batch)) == 2
    assert (await look(store, batch)).batch.begun == 2


class Late(Sources):
    """While it reads, its time is over, and another has its turn."""

    def __init__(self, store: Store, blobs: MemoryBlobs) -> None:
        super().__init__(blobs)
        self._store, self.other = store, None

    async def read(self, batch: Any) -> bytes:
        async with self._store.begin() as tx:
            await tx.begin_items(batch, replace(batch, not_before=LONG_AGO), [])
        self.other = await turn(self._store, self.blobs, limit=2)
        return await super().read(batch)


async def test_a_dispatcher_that_dies_in_a_turn_has_begun_nothing(
    store: Store, blobs: MemoryBlobs
) -> None:
    batch = await hand_in(store, blobs, [GOOD, BAD])
    unruly = UnrulyStore(store)

    class Boom(Exception): ...

    class Dying(Sources):
        async def read(self, batch: Any) -> bytes:
            raise Boom

    with pytest.raises(Boom):
        await expand(unruly, Dying(blobs), expansion(), path=PATH, limit=5)

    assert (await look(store, batch)).batch.begun == 0
    assert await turn(store, blobs) is None, "it is the dead one's until its time is over"


async def test_a_full_queue_holds_a_batch_up_and_leaves_some_room_to_others(
    store: Store, blobs: MemoryBlobs
) -> None:
    async with store.begin() as tx:
        await tx.set_terms(TENANT, Terms(max_queued=10))
    batch = await hand_in(store, blobs, [GOOD] * 20)
    how = expansion()

    await turn(store, blobs, how)
    began = (await look(store, batch)).batch
    full = await turn(store, blobs, how)
    waiting = (await look(store, batch)).batch

    assert (began.begun, began.held_up) == (9, None)
    assert full is not None
    assert (full.items, waiting.held_up) == ([], "as many jobs wait as may")
    assert waiting.not_before is not None
    assert began.not_before is not None
    assert waiting.not_before > began.not_before
    assert await turn(store, blobs, how) is None, "not before there may be room"


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
