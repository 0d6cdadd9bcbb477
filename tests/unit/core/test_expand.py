"""Items of batches begin some at a time, each once, as there is room; a bad one is rejected alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from headrace.contracts.messages import INPUT_BLOB
from headrace.core.batch import (
    BATCH_LABEL,
    ITEM_LABEL,
    BatchState,
    ItemState,
    Tally,
    job_of_item,
)
from headrace.core.job import State
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.store import Store, Terms
from headrace.core.usecases.expand import Expanded, Sources, expand
from headrace.core.usecases.record import record
from headrace.testkit.builders import LONG_AGO
from headrace.testkit.deciding import (
    ANY,
    ECHO,
    PATH,
    POLICY,
    a_result,
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
        self._store, self._memory = store, blobs
        self.other: Expanded | None = None

    @override
    async def read(self, batch: Any) -> bytes:
        async with self._store.begin() as tx:
            await tx.begin_items(batch, replace(batch, not_before=LONG_AGO), [])
        self.other = await turn(self._store, self._memory, limit=2)
        return await super().read(batch)


async def test_a_dispatcher_that_dies_in_a_turn_has_begun_nothing(
    store: Store, blobs: MemoryBlobs
) -> None:
    batch = await hand_in(store, blobs, [GOOD, BAD])

    class Boom(Exception): ...

    class Dying(Sources):
        @override
        async def read(self, batch: Any) -> bytes:
            raise Boom

    with pytest.raises(Boom):
        await expand(store, Dying(blobs), expansion(), path=PATH, limit=5)

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


async def end(store: Store, job: Any) -> None:
    held = await taken(store, job)
    await record(store, [a_result(held[0], output={})], policy=POLICY, random=ANY)
