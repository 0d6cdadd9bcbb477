"""Tasks that are produced outside: the store follows what producers say, and each ends once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.contracts.ids import JobId, WorkerId
from headrace.contracts.messages import JobError
from headrace.contracts.producing import OUTSIDE, End
from headrace.core.explain import Rule, explain
from headrace.core.job import Job, State
from headrace.core.ports.producers import Producers, Seen
from headrace.core.ports.store import Store, Terms
from headrace.core.usecases.attend_producers import Attended, attend_producers
from headrace.core.usecases.cancel import ask_cancel, honour_cancels
from headrace.core.usecases.explain import facts_about
from headrace.testkit.deciding import PATH, history, outbox, put, read, told
from headrace.testkit.fake_producers import FakeProducers

FIRST = Seen(epoch=1, producer=WorkerId("celery-1"), alive=True)
DONE = replace(FIRST, end=End("succeeded", output={"text": "all of it"}))


@pytest.fixture
def producers() -> FakeProducers:
    return FakeProducers()


async def outside(store: Store, **fields: Any) -> Job:
    return await put(store, lane=OUTSIDE, kind="outside", model="outside", **fields)


async def attended(store: Store, producers: Producers, *, judge: bool = True) -> Attended:
    async with store.begin() as tx:
        jobs = await tx.outside(PATH, after=JobId(""), limit=10)
    return await attend_producers(store, producers, jobs, keep=in_the_row, judge_silence=judge)


async def in_the_row(job: Job, output: dict[str, Any]) -> dict[str, Any]:
    return output


async def begun(store: Store, producers: FakeProducers, **fields: Any) -> Job:
    job = await outside(store, **fields)
    producers.seen[job.id] = FIRST
    await attended(store, producers)
    return await read(store, job.id)


async def test_a_task_waits_until_its_producer_opens_it(
    store: Store, producers: FakeProducers
) -> None:
    job = await outside(store)

    done = await attended(store, producers)

    assert done == Attended([], [])
    assert (await read(store, job.id)).state is State.QUEUED


async def test_a_producer_that_opened_it_runs_it_in_the_epoch_of_its_stream(
    store: Store, producers: FakeProducers
) -> None:
    job = await outside(store)
    producers.seen[job.id] = replace(FIRST, epoch=4)

    done = await attended(store, producers)

    after = await read(store, job.id)
    assert (after.state, after.epoch, after.attempt) == (State.RUNNING, 4, 1)
    assert after.worker == "celery-1"
    assert after.lease_until is None, "no sweep takes it for lost"
    assert after.started_at is not None
    assert done.announcements == [], "its producer has said so"
    assert await outbox(store) == []
    assert [each.worker for each in await history(store, job.id)] == ["celery-1"]


async def test_its_last_word_is_saved_and_announced_once(
    store: Store, producers: FakeProducers
) -> None:
    job = await begun(store, producers)
    producers.seen[job.id] = DONE

    first, again = await attended(store, producers), await attended(store, producers)

    after = await read(store, job.id)
    assert (after.state, after.output) == (State.SUCCEEDED, {"text": "all of it"})
    assert told(first.announcements) == [(job.id, 2, "succeeded")]
    assert again == Attended([], [])
    assert producers.closed == [job.id]
    assert [each.outcome for each in await history(store, job.id)] == ["succeeded"]


async def test_a_producer_that_was_quicker_than_we_looked_is_followed_in_two_turns(
    store: Store, producers: FakeProducers
) -> None:
    job = await outside(store)
    producers.seen[job.id] = DONE

    await attended(store, producers)
    await attended(store, producers)

    assert (await read(store, job.id)).state is State.SUCCEEDED


async def test_two_dispatchers_that_look_at_once_end_it_once(
    store: Store, producers: FakeProducers
) -> None:
    job = await begun(store, producers)
    producers.seen[job.id] = DONE

    one = await attend_producers(store, producers, [job], keep=in_the_row, judge_silence=True)
    other = await attend_producers(store, producers, [job], keep=in_the_row, judge_silence=True)

    assert len(one.announcements) == 1
    assert other == Attended([], [])


async def test_a_producer_that_fell_silent_is_a_failure_that_says_so(
    store: Store, producers: FakeProducers
) -> None:
    job = await begun(store, producers)
    producers.seen[job.id] = replace(FIRST, alive=False)

    done = await attended(store, producers)

    after = await read(store, job.id)
    assert after.state is State.FAILED
    assert after.error is not None
    assert after.error["kind"] == "worker_lost"
    assert "celery-1" in after.error["message"]
    assert told(done.announcements) == [(job.id, 2, "failed")]


async def test_nobody_is_lost_who_could_not_be_heard(
    store: Store, producers: FakeProducers
) -> None:
    job = await begun(store, producers)
    producers.seen.clear()  # a Redis that was wiped

    await attended(store, producers, judge=False)

    assert (await read(store, job.id)).state is State.RUNNING
    assert producers.closed == []


async def test_one_that_comes_back_as_it_is_closed_keeps_its_task(
    store: Store, producers: FakeProducers
) -> None:
    job = await begun(store, producers)
    producers.seen[job.id], producers.closes = replace(FIRST, alive=False), False

    done = await attended(store, producers)

    assert done == Attended([], [])
    assert (await read(store, job.id)).state is State.RUNNING


async def test_a_second_producer_is_a_second_attempt(
    store: Store, producers: FakeProducers
) -> None:
    job = await begun(store, producers)
    producers.seen[job.id] = Seen(epoch=2, producer=WorkerId("celery-2"), alive=True)

    await attended(store, producers)

    after = await read(store, job.id)
    assert (after.state, after.attempt, after.worker) == (State.RUNNING, 2, "celery-2")
    assert after.epoch >= 2
    assert [each.outcome for each in await history(store, job.id)] == ["lost", None]


async def test_a_wish_is_told_to_the_producer_and_its_stop_is_the_end(
    store: Store, producers: FakeProducers
) -> None:
    job = await begun(store, producers)
    await ask_cancel(store, job.tenant, job.id)
    honoured = await honour_cancels(store, path=PATH, limit=10)
    await attended(store, producers)
    producers.seen[job.id] = replace(FIRST, told_to_stop=True, end=End("cancelled"))

    done = await attended(store, producers)

    assert honoured.hints == [], "it has no mailbox"
    assert producers.stopped == [job.id]
    assert (await read(store, job.id)).state is State.CANCELLED
    assert told(done.announcements) == [(job.id, 2, "cancelled")]


async def test_a_wish_is_met_by_a_producer_that_vanishes(
    store: Store, producers: FakeProducers
) -> None:
    job = await begun(store, producers)
    await ask_cancel(store, job.tenant, job.id)
    await honour_cancels(store, path=PATH, limit=10)
    producers.seen[job.id] = replace(FIRST, alive=False)

    await attended(store, producers)

    after = await read(store, job.id)
    assert (after.state, after.error) == (State.CANCELLED, None)


async def test_what_waits_for_a_producer_is_closed_before_it_is_cancelled(
    store: Store, producers: FakeProducers
) -> None:
    job = await outside(store)
    await ask_cancel(store, job.tenant, job.id)

    honoured = await honour_cancels(store, path=PATH, limit=10)
    assert honoured.ended == []
    done = await attended(store, producers)

    assert producers.closed == [job.id]
    assert (await read(store, job.id)).state is State.CANCELLED
    assert [each[2] for each in told(done.announcements)] == ["cancelled"]


async def test_a_producer_that_stops_unasked_has_failed(
    store: Store, producers: FakeProducers
) -> None:
    job = await begun(store, producers)
    producers.seen[job.id] = replace(FIRST, end=End("cancelled"))

    await attended(store, producers)

    assert (await read(store, job.id)).state is State.FAILED


async def test_what_a_producer_says_is_made_fit_for_the_store(
    store: Store, producers: FakeProducers
) -> None:
    job = await begun(store, producers)
    error = JobError(kind="internal", message="a\0b")
    producers.seen[job.id] = replace(FIRST, end=End("failed", error=error))

    await attended(store, producers)

    assert (await read(store, job.id)).error == {"kind": "internal", "message": "a\ufffdb"}


@pytest.mark.parametrize("opened", [False, True])
async def test_what_takes_longer_than_its_timeout_ends(
    store: Store, producers: FakeProducers, opened: bool
) -> None:
    job = await outside(store, timeout_s=-1.0)  # so that it is over, whatever the clock's grain
    if opened:
        producers.seen[job.id] = FIRST
        await attended(store, producers)

    await attended(store, producers)

    after = await read(store, job.id)
    assert after.state is State.FAILED
    assert after.error is not None
    assert after.error["kind"] == "deadline"


async def test_it_is_offered_to_no_worker_and_takes_no_slot_of_its_tenant(
    store: Store, producers: FakeProducers
) -> None:
    job = await begun(store, producers)
    mine = await put(store, tenant=job.tenant)
    async with store.begin() as tx:
        await tx.set_terms(job.tenant, Terms(max_running=1))
        crowd = await tx.crowd(mine)

    assert crowd.taken_by_tenant == 0


async def test_why_it_waits_is_said(store: Store) -> None:
    job = await outside(store)

    said = explain(await facts_about(store, job.tenant, job.id))

    assert said.rule is Rule.NO_PRODUCER
