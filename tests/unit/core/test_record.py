"""How an attempt ended decides what becomes of its job, once, and whoever is late changes nothing."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from headrace.contracts.messages import JobError, Result, Stages
from headrace.core.job import State
from headrace.core.ports.store import Store
from headrace.core.retry import ErrorKind, RetryPolicy
from headrace.core.usecases.cancel import ask_cancel, honour_cancels
from headrace.core.usecases.record import Recorded, record
from headrace.core.usecases.sweep import queue_due, sweep
from headrace.testkit.builders import a_job
from headrace.testkit.deciding import (
    ANY,
    OVER,
    PATH,
    POLICY,
    a_failure,
    a_result,
    history,
    outbox,
    put,
    read,
    running,
    taken,
    told,
)

NO_SECOND_TRY = RetryPolicy(failures=1, losses=1)


async def recorded(store: Store, *results: Result, policy: RetryPolicy = POLICY) -> Recorded:
    return await record(store, results, policy=policy, random=ANY)


async def test_a_success_keeps_its_output(store: Store) -> None:
    job = await running(store)

    done = await recorded(store, a_result(job, output={"text": "done"}))

    after = await read(store, job.id)
    assert (after.state, after.output, after.error) == (State.SUCCEEDED, {"text": "done"}, None)
    assert (after.progress, after.worker, after.lease_until) == (1.0, None, None)
    assert told(done.announcements) == [(job.id, job.epoch + 1, "succeeded")]
    assert [each.id for each in done.moved] == [job.id]
    assert done.stale == []


async def test_a_success_without_output_has_an_empty_one(store: Store) -> None:
    job = await running(store)

    await recorded(store, a_result(job))

    assert (await read(store, job.id)).output == {}


@pytest.mark.parametrize("kind", ["input", "deadline"])
async def test_an_error_that_no_attempt_would_mend_ends_the_job(
    store: Store, kind: ErrorKind
) -> None:
    job = await running(store)

    done = await recorded(store, a_failure(job, kind))

    after = await read(store, job.id)
    assert after.state is State.FAILED
    assert after.error == {"kind": kind, "message": "it broke"}
    assert told(done.announcements) == [(job.id, job.epoch + 1, "failed")]
    assert [each.id for each in done.moved] == [job.id]


@pytest.mark.parametrize("kind", ["transient", "resource", "internal"])
async def test_an_error_that_may_pass_is_tried_again_later(store: Store, kind: ErrorKind) -> None:
    job = await running(store)

    done = await recorded(store, a_failure(job, kind))

    after = await read(store, job.id)
    assert (after.state, after.failures, after.losses) == (State.SCHEDULED, 1, 0)
    assert after.error == {"kind": kind, "message": "it broke"}
    assert told(done.announcements) == [(job.id, job.epoch + 1, "attempt")]
    assert done.moved == [after]
    assert await outbox(store) == []


async def test_a_retry_waits_on_the_store_s_clock_and_says_how_long(store: Store) -> None:
    job = await running(store)
    delay = POLICY.base * Random(1).random()

    async with store.begin() as tx:
        before = await tx.now()
    done = await record(store, [a_failure(job)], policy=POLICY, random=Random(1))
    async with store.begin() as tx:
        after = await tx.now()

    waits_until = (await read(store, job.id)).not_before
    assert waits_until is not None
    assert before <= waits_until - delay <= after + timedelta(milliseconds=1)
    ((_, frame),) = done.announcements[0].frames
    assert b'"attempt":2' in frame
    assert f'"retry_in_s":{delay / timedelta(seconds=1)}'.encode() in frame


@pytest.mark.parametrize("kind", ["transient", "resource", "internal", "worker_lost"])
async def test_a_budget_that_is_used_up_parks_the_job(store: Store, kind: ErrorKind) -> None:
    job = await running(store)

    done = await recorded(store, a_failure(job, kind), policy=NO_SECOND_TRY)

    after = await read(store, job.id)
    assert (after.state, after.error) == (State.DEAD, {"kind": kind, "message": "it broke"})
    assert told(done.announcements) == [(job.id, job.epoch + 1, "dead")]
    assert [each.id for each in done.moved] == [job.id]


async def test_a_lost_worker_is_charged_to_its_own_budget_and_the_job_queued_at_once(
    store: Store,
) -> None:
    job = await running(store)

    await recorded(store, a_failure(job, "worker_lost"))

    after = await read(store, job.id)
    assert (after.state, after.failures, after.losses) == (State.QUEUED, 0, 1)
    assert [row.epoch for row in await outbox(store)] == [after.epoch]


async def test_failures_add_up_to_the_end(store: Store) -> None:
    job = await put(store)
    hasty = RetryPolicy(failures=3, base=timedelta(0))
    states = []
    for _ in range(3):
        (held,) = await taken(store, await read(store, job.id))
        await recorded(store, a_failure(held), policy=hasty)
        states.append((await read(store, job.id)).state)
        await queue_due(store, path=PATH, limit=10)

    assert states == [State.SCHEDULED, State.SCHEDULED, State.DEAD]
    assert [each.outcome for each in await history(store, job.id)] == ["failed"] * 3


async def test_a_failure_without_a_word_counts_as_ours(store: Store) -> None:
    job = await running(store)

    await recorded(store, a_result(job, "failed"))

    after = await read(store, job.id)
    assert (after.state, after.failures) == (State.SCHEDULED, 1)


async def test_what_is_given_back_costs_nothing_and_is_offered_at_once(store: Store) -> None:
    job = await running(store)

    done = await recorded(store, a_result(job, "released"), policy=NO_SECOND_TRY)

    after = await read(store, job.id)
    assert (after.state, after.failures, after.losses) == (State.QUEUED, 0, 0)
    assert after.progress is None
    assert [row.job for row in await outbox(store)] == [job.id]
    assert told(done.announcements) == [(job.id, job.epoch + 1, "attempt")]


async def test_a_result_that_comes_again_changes_nothing_and_is_reported(store: Store) -> None:
    job = await running(store)
    result = a_result(job, output={"text": "first"})
    await recorded(store, result)
    before = await read(store, job.id)

    again = await recorded(store, a_result(job, output={"text": "second"}))

    second = a_result(job, output={"text": "second"})
    assert (again.announcements, again.moved, again.stale) == ([], [], [second])
    assert await read(store, job.id) == before


async def test_a_result_twice_in_one_message_counts_once(store: Store) -> None:
    job = await running(store)

    done = await recorded(
        store, a_result(job, output={"text": "first"}), a_result(job, output={"text": "second"})
    )

    assert (await read(store, job.id)).output == {"text": "first"}
    assert len(done.announcements) == len(done.moved) == len(done.stale) == 1


async def test_a_result_of_an_attempt_that_was_given_up_is_stale(store: Store) -> None:
    late = await running(store, lease=OVER)
    await sweep(store, path=PATH, policy=POLICY, limit=10)
    (held,) = await taken(store, await read(store, late.id))

    done = await recorded(store, a_result(late, output={"text": "too late"}))

    assert done.stale == [a_result(late, output={"text": "too late"})]
    assert await read(store, late.id) == held
    assert [each.outcome for each in await history(store, late.id)] == ["lost", None]


async def test_a_result_that_is_late_but_not_given_up_counts(store: Store) -> None:
    late = await running(store, lease=OVER)

    done = await recorded(store, a_result(late))

    assert done.stale == []
    assert (await read(store, late.id)).state is State.SUCCEEDED


async def test_a_result_of_nobody_s_job_is_stale_and_spoils_nothing(store: Store) -> None:
    job = await running(store)
    stray = a_result(a_job(state=State.RUNNING))

    done = await recorded(store, stray, a_result(job))

    assert done.stale == [stray]
    assert (await read(store, job.id)).state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("succeeded", State.SUCCEEDED),  # finishing first is as good an end as stopping
        ("cancelled", State.CANCELLED),
        ("released", State.CANCELLED),
        ("failed", State.CANCELLED),
    ],
)
async def test_whatever_comes_of_a_job_that_shall_stop_ends_it(
    store: Store, outcome: str, state: State
) -> None:
    job = await running(store)
    await ask_cancel(store, job.tenant, job.id)
    await honour_cancels(store, path=PATH, limit=10)

    done = await recorded(store, a_result(job, outcome))  # type: ignore[arg-type]  # of the table above

    assert (await read(store, job.id)).state is state
    assert told(done.announcements) == [(job.id, job.epoch + 1, state.value)]
    assert [each.id for each in done.moved] == [job.id]


async def test_a_wish_that_comes_after_the_end_loses(store: Store) -> None:
    job = await running(store)
    await recorded(store, a_result(job))
    await ask_cancel(store, job.tenant, job.id)

    done = await honour_cancels(store, path=PATH, limit=10)

    assert done.announcements == []
    assert (await read(store, job.id)).state is State.SUCCEEDED


async def test_a_wish_that_nobody_has_acted_on_does_not_undo_a_success(store: Store) -> None:
    job = await running(store)
    await ask_cancel(store, job.tenant, job.id)

    await recorded(store, a_result(job))

    assert (await read(store, job.id)).state is State.SUCCEEDED


async def test_a_wish_survives_a_retry_and_ends_the_job_there(store: Store) -> None:
    job = await running(store)
    await ask_cancel(store, job.tenant, job.id)

    await recorded(store, a_failure(job))
    await honour_cancels(store, path=PATH, limit=10)

    assert (await read(store, job.id)).state is State.CANCELLED


async def test_a_success_after_a_failure_leaves_no_error(store: Store) -> None:
    job = await running(store)
    await recorded(store, a_failure(job, "worker_lost"))
    (held,) = await taken(store, await read(store, job.id))

    await recorded(store, a_result(held))

    assert (await read(store, job.id)).error is None


async def test_the_history_says_how_an_attempt_ended_and_where_its_time_went(
    store: Store,
) -> None:
    job = await running(store)
    error = JobError(kind="transient", message="busy", detail="Traceback")

    await recorded(store, a_result(job, "failed", error=error, stages=Stages(run_s=1.5)))

    (attempt,) = await history(store, job.id)
    assert (attempt.outcome, attempt.stages) == ("failed", Stages(run_s=1.5))
    assert attempt.error == {"kind": "transient", "message": "busy", "detail": "Traceback"}
    assert attempt.ended_at is not None


async def test_what_no_database_keeps_is_replaced(store: Store) -> None:
    job = await running(store)

    await recorded(store, a_result(job, output={"text": "a\x00b"}))

    assert (await read(store, job.id)).output == {"text": "a\ufffdb"}


async def test_an_end_after_dropped_frames_leaves_the_hole_to_be_seen(store: Store) -> None:
    job = await running(store)

    done = await recorded(store, a_result(job, dropped=3))

    (batch,) = done.announcements
    assert (batch.epoch, batch.first_seq) == (job.epoch + 1, 2)
