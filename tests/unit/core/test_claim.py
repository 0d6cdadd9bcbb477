"""Each execution is granted once: to the first who claims it, in words that can be repeated."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from headrace.contracts.ids import JobId, WorkerId
from headrace.contracts.messages import Claim, Grant, Refusal
from headrace.core.job import HELD, Job, State
from headrace.core.ports.store import Store
from headrace.core.usecases.cancel import ask_cancel, honour_cancels
from headrace.core.usecases.claim import Claimed, claim
from headrace.core.usecases.record import record
from headrace.testkit.builders import a_job
from headrace.testkit.deciding import (
    ANY,
    LEASE,
    OVER,
    PATH,
    POLICY,
    WORKER,
    a_claim,
    a_result,
    history,
    outbox,
    put,
    read,
    running,
    told,
)

OTHER = WorkerId("worker-2")


async def claimed(store: Store, *claims: Claim, worker: WorkerId = WORKER) -> Claimed:
    return await claim(store, worker, claims, lease=LEASE)


async def refusal(store: Store, job: Job, claim_id: str = "another", **fields: Any) -> str:
    done = await claimed(store, a_claim(job, claim_id, **fields), worker=OTHER)
    (answer,) = done.answers
    assert isinstance(answer, Refusal)
    assert done.announcements == []
    return answer.reason


async def test_the_first_claim_is_granted_with_an_epoch_a_lease_and_the_whole_job(
    store: Store,
) -> None:
    job = await put(store, input={"text": "hi"}, timeout_s=7.0, trace="00-submit-01")

    (answer,) = (await claimed(store, a_claim(job))).answers

    assert answer == Grant(
        claim=a_claim(job).id,
        job=job.id,
        tenant=job.tenant,
        epoch=1,
        attempt=1,
        lease_s=LEASE.total_seconds(),
        kind="echo",
        model="echo",
        input={"text": "hi"},
        timeout_s=7.0,
        trace="00-submit-01",
    )


async def test_what_was_granted_is_held_and_no_longer_offered(store: Store) -> None:
    job = await put(store)

    done = await claimed(store, a_claim(job))

    async with store.begin() as tx:
        now = await tx.now()
    held = await read(store, job.id)
    assert (held.state, held.worker, held.claim) == (State.RUNNING, WORKER, "claim-1")
    assert held.lease_until is not None
    assert now < held.lease_until <= now + LEASE
    assert await outbox(store) == []
    assert told(done.announcements) == [(job.id, 1, "started")]


async def test_a_claim_that_is_sent_again_gets_the_same_grant_and_is_told_once(
    store: Store,
) -> None:
    job = await put(store)

    first = await claimed(store, a_claim(job))
    again = await claimed(store, a_claim(job))

    assert again.answers == first.answers
    assert again.announcements == []
    assert len(await history(store, job.id)) == 1


async def test_a_claim_that_is_sent_again_is_granted_a_lease_as_long_as_it_says(
    store: Store,
) -> None:
    job = await put(store)
    await claim(store, WORKER, [a_claim(job)], lease=OVER)  # long ago: nobody heard the answer

    (answer,) = (await claimed(store, a_claim(job))).answers

    held = await read(store, job.id)
    async with store.begin() as tx:
        left = held.lease_until - await tx.now() if held.lease_until else None
    assert isinstance(answer, Grant)
    assert left is not None
    assert left.total_seconds() == pytest.approx(answer.lease_s, abs=5)


async def test_a_claim_that_is_sent_again_while_its_job_shall_stop_is_still_granted(
    store: Store,
) -> None:
    job = await put(store)
    first = await claimed(store, a_claim(job))
    await ask_cancel(store, job.tenant, job.id)
    await honour_cancels(store, path=PATH, limit=10)

    again = await claimed(store, a_claim(job))

    assert again.answers == first.answers  # or its worker would run what it does not know of


async def test_of_two_claims_one_is_granted(store: Store) -> None:
    job = await put(store)
    await claimed(store, a_claim(job))

    assert await refusal(store, job) == "taken"
    assert (await read(store, job.id)).worker == WORKER


async def test_of_two_claims_in_one_message_the_first_is_granted(store: Store) -> None:
    job = await put(store)

    first, second = (await claimed(store, a_claim(job, "one"), a_claim(job, "two"))).answers

    assert isinstance(first, Grant)
    assert second == Refusal(a_claim(job, "two").id, job.id, "taken")
    assert len(await history(store, job.id)) == 1


async def test_the_same_claim_twice_in_one_message_is_granted_once(store: Store) -> None:
    job = await put(store)

    done = await claimed(store, a_claim(job), a_claim(job))

    assert done.answers[0] == done.answers[1]
    assert isinstance(done.answers[0], Grant)
    assert len(done.announcements) == 1


async def test_answers_come_in_the_order_of_the_claims(store: Store) -> None:
    jobs = [await put(store) for _ in range(3)]

    claims = [a_claim(job, f"claim-{n}") for n, job in enumerate(reversed(jobs))]
    done = await claimed(store, *claims)

    assert [answer.claim for answer in done.answers] == [each.id for each in claims]
    assert [answer.job for answer in done.answers] == [each.job for each in claims]


async def test_an_offer_from_before_the_last_attempt_is_stale(store: Store) -> None:
    job = await put(store)
    held = await read(store, job.id)
    await claimed(store, a_claim(job))
    held = await read(store, job.id)
    await record(store, [a_result(held, "released")], policy=POLICY, random=ANY)

    assert await refusal(store, job) == "stale"
    assert (await read(store, job.id)).state is State.QUEUED


async def test_an_old_claim_gets_no_grant_once_its_attempt_is_over(store: Store) -> None:
    job = await put(store)
    await claimed(store, a_claim(job))
    held = await read(store, job.id)
    await record(store, [a_result(held, "released")], policy=POLICY, random=ANY)

    assert await refusal(store, job, "claim-1") == "stale"


async def test_a_job_that_somebody_wants_to_cancel_is_not_begun(store: Store) -> None:
    job = await put(store)
    await ask_cancel(store, job.tenant, job.id)

    assert await refusal(store, job) == "over"
    assert (await read(store, job.id)).state is State.QUEUED  # the dispatcher's loop ends it


async def test_a_job_that_has_ended_is_over(store: Store) -> None:
    job = await running(store)
    await record(store, [a_result(job)], policy=POLICY, random=ANY)

    assert await refusal(store, job) == "over"


async def test_a_job_that_waits_for_its_time_is_not_begun(store: Store) -> None:
    job = await put(store, state=State.SCHEDULED)

    await refusal(store, job)

    assert (await read(store, job.id)).state is State.SCHEDULED


async def test_a_job_that_nobody_has_is_unknown(store: Store) -> None:
    assert await refusal(store, a_job()) == "unknown"


async def test_a_refusal_does_not_spoil_its_neighbours(store: Store) -> None:
    job = await put(store)
    gone = Claim(a_claim(job, "other").id, JobId("nobody's"), 0)

    refused, granted = (await claimed(store, gone, a_claim(job))).answers

    assert isinstance(refused, Refusal)
    assert isinstance(granted, Grant)


async def test_a_later_attempt_is_told_the_trace_of_the_one_before(store: Store) -> None:
    job = await put(store)
    await claimed(store, a_claim(job, trace="00-first-01"))
    held = await read(store, job.id)
    await record(store, [a_result(held, "released")], policy=POLICY, random=ANY)
    again = await read(store, job.id)

    (grant,) = (await claimed(store, a_claim(again, "second", trace="00-second-01"))).answers

    assert isinstance(grant, Grant)
    assert (grant.attempt, grant.epoch, grant.previous) == (2, 3, "00-first-01")
    assert (await read(store, job.id)).attempt_trace == "00-second-01"


async def test_every_grant_begins_an_attempt_in_the_history(store: Store) -> None:
    job = await put(store)

    await claimed(store, a_claim(job))

    (attempt,) = await history(store, job.id)
    assert (attempt.attempt, attempt.epoch, attempt.worker) == (1, 1, WORKER)
    assert attempt.ended_at is None


async def test_no_claims_are_no_answers(store: Store) -> None:
    nothing = await claimed(store)

    assert (nothing.answers, nothing.announcements, nothing.won) == ([], [], [])


@pytest.mark.parametrize("lease", [timedelta(seconds=3), timedelta(minutes=10)])
async def test_a_lease_is_as_long_as_it_was_said_to_be(store: Store, lease: timedelta) -> None:
    job = await put(store)

    (grant,) = (await claim(store, WORKER, [a_claim(job)], lease=lease)).answers

    assert isinstance(grant, Grant)
    assert grant.lease_s == lease.total_seconds()
    assert (await read(store, job.id)).state in HELD
