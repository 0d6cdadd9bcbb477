"""A job for several workers is granted to all of them at once, or to none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from headrace.contracts.ids import Lane, TenantId, WorkerId
from headrace.contracts.messages import Grant, Heartbeat, Heartbeats, Order, Part, Refusal, Vitals
from headrace.core.job import Job, State
from headrace.core.ports.store import Store, Terms
from headrace.core.usecases.cancel import ask_cancel, honour_cancels
from headrace.core.usecases.claim import claim
from headrace.core.usecases.gather import Call, Joined, Patience, call, join
from headrace.core.usecases.heartbeat import heartbeat
from headrace.core.usecases.record import record
from headrace.core.usecases.sweep import sweep
from headrace.testkit.deciding import (
    ANY,
    LANE,
    LEASE,
    OVER,
    PATH,
    POLICY,
    a_claim,
    a_failure,
    a_result,
    history,
    put,
    read,
    see,
)
from headrace.testkit.waits import eventually

ONE, TWO, THREE = WorkerId("one"), WorkerId("two"), WorkerId("three")
PATIENT = Patience()
RESTLESS = Patience(rest=timedelta(0))


async def here(store: Store, *workers: WorkerId, lane: Lane = LANE, **vitals: Any) -> None:
    for worker in workers:
        await see(store, 1, worker, lane, vitals=Vitals(**{"at": f"host-of-{worker}", **vitals}))


async def called(store: Store, patience: Patience = PATIENT) -> list[Call]:
    return await call(store, path=PATH, ours=PATH, patience=patience)


async def comes(
    store: Store,
    job: Job,
    worker: WorkerId,
    *,
    patience: Patience = PATIENT,
    lease: timedelta = LEASE,
    **fields: Any,
) -> Joined:
    asked = a_claim(job, f"claim-of-{worker}", **{"at": f"{worker}:29500", **fields})
    return await join(store, worker, f"mailbox-of-{worker}", asked, lease=lease, patience=patience)


async def together(store: Store, *, lease: timedelta = LEASE, **fields: Any) -> Job:
    """A job that TWO, the first, and ONE run."""
    job = await put(store, nodes=2, **fields)
    await here(store, ONE, TWO)
    await called(store)
    await comes(store, job, ONE, lease=lease)
    await comes(store, job, TWO, lease=lease)
    return await read(store, job.id)


async def beats(store: Store, job: Job, worker: WorkerId) -> Order:
    beat = Heartbeats(worker, "", 1, {}, [Heartbeat(job.id, job.epoch)])
    (order,) = (await heartbeat(store, beat, path=PATH, lease=LEASE)).orders
    return order


def grants(joined: Joined) -> dict[str, Part | None]:
    return {to: said.part for to, said in joined.letters if isinstance(said, Grant)}


def refusal(joined: Joined) -> str:
    (said,) = joined.claimed.answers
    assert isinstance(said, Refusal)
    return said.reason


async def test_nobody_is_called_while_there_are_not_enough_workers(store: Store) -> None:
    await put(store, nodes=2)
    await here(store, ONE)

    assert await called(store) == []


@pytest.mark.parametrize(
    "absent",
    [{"draining": True}, {"at": None}],
    ids=["who is about to leave", "whom nobody can reach"],
)
async def test_some_do_not_count(store: Store, absent: dict[str, Any]) -> None:
    await put(store, nodes=2)
    await here(store, ONE)
    await here(store, TWO, **absent)

    assert await called(store) == []


async def test_workers_of_another_lane_do_not_count(store: Store) -> None:
    await put(store, nodes=2)
    await here(store, ONE)
    await here(store, TWO, lane=Lane("another"))

    assert await called(store) == []


async def test_all_who_could_take_part_are_called_and_told_what_for(store: Store) -> None:
    job = await put(store, nodes=2, gpus=3)
    await here(store, ONE, TWO, THREE)

    calls = await called(store)

    assert {each.worker for each in calls} == {ONE, TWO, THREE}
    offer = calls[0].offer
    assert (offer.job, offer.lane, offer.nodes, offer.gpus) == (job.id, LANE, 2, 3)


async def test_who_has_come_is_not_called_again_and_the_others_are(store: Store) -> None:
    job = await put(store, nodes=2)
    await here(store, ONE, TWO)
    await called(store)

    await comes(store, job, ONE)

    assert [each.worker for each in await called(store)] == [TWO]


async def test_the_first_to_come_has_no_answer_and_holds_nothing(store: Store) -> None:
    job = await put(store, nodes=2)
    await here(store, ONE, TWO)
    await called(store)

    joined = await comes(store, job, ONE)

    assert joined.letters == []
    assert (await read(store, job.id)).state is State.QUEUED


async def test_when_all_have_come_all_are_granted_one_attempt(store: Store) -> None:
    job = await put(store, nodes=2)
    await here(store, ONE, TWO)
    await called(store)
    await comes(store, job, ONE)

    joined = await comes(store, job, TWO)

    assert grants(joined) == {
        "mailbox-of-two": Part(0, 2, "two:29500"),
        "mailbox-of-one": Part(1, 2, "two:29500"),
    }
    assert {said.epoch for _, said in joined.letters if isinstance(said, Grant)} == {1}
    assert {said.claim for _, said in joined.letters} == {"claim-of-one", "claim-of-two"}
    held = await read(store, job.id)
    assert (held.state, held.worker, held.attempt) == (State.RUNNING, TWO, 1)
    (attempt,) = await history(store, job.id)
    assert list(attempt.members) == [TWO, ONE]


async def test_a_worker_that_comes_twice_is_one_worker(store: Store) -> None:
    job = await put(store, nodes=2)
    await here(store, ONE, TWO)
    await called(store)
    await comes(store, job, ONE)

    again = await comes(store, job, ONE, id="another-slot-of-one")

    assert again.letters == []
    assert (await read(store, job.id)).state is State.QUEUED


async def test_who_vanished_while_it_waited_is_granted_nothing(store: Store) -> None:
    job = await put(store, nodes=2)
    await here(store, ONE, TWO, THREE)
    await called(store)
    await comes(store, job, ONE, patience=Patience(joined_for=OVER))

    without = await comes(store, job, TWO)
    whole = await comes(store, job, THREE)

    assert without.letters == []
    assert set(grants(whole)) == {"mailbox-of-two", "mailbox-of-three"}


async def test_who_asks_again_because_the_answer_was_lost_has_the_same_part(store: Store) -> None:
    job = await together(store)

    again = await comes(store, as_offered(job), ONE)

    assert grants(again) == {"mailbox-of-one": Part(1, 2, "two:29500")}
    assert (await read(store, job.id)).epoch == job.epoch


def as_offered(job: Job) -> Job:
    return replace(job, epoch=job.epoch - 1)


async def test_a_late_member_is_refused_and_changes_nothing(store: Store) -> None:
    job = await together(store)

    late = await comes(store, as_offered(job), THREE)

    assert refusal(late) == "taken"
    assert await beats(store, job, THREE) == Order(job.id, job.epoch, "lost")
    assert await read(store, job.id) == job


async def test_a_member_of_an_attempt_that_is_over_is_told_so(store: Store) -> None:
    job = await together(store)
    await record(store, [a_failure(job)], policy=POLICY, random=ANY)

    assert await beats(store, job, ONE) == Order(job.id, job.epoch, "lost")


async def test_nobody_runs_a_part_without_the_others(store: Store) -> None:
    """As a worker of a build before would ask."""
    job = await put(store, nodes=2)

    claimed = await claim(store, ONE, [a_claim(job)], lease=LEASE)

    assert [said.reason for said in claimed.answers if isinstance(said, Refusal)] == ["stale"]


async def test_two_jobs_gather_one_after_the_other(store: Store) -> None:
    """Each could else wait for a worker that waits for the other."""
    first, second = await put(store, nodes=2), await put(store, nodes=2)
    await here(store, ONE, TWO)

    calls = await called(store)
    early = await comes(store, second, TWO)
    await comes(store, first, ONE)
    await comes(store, first, TWO)
    after = await called(store)

    assert {each.offer.job for each in calls} == {first.id}
    assert refusal(early) == "stale"
    assert (await read(store, first.id)).state is State.RUNNING
    assert {each.offer.job for each in after} == {second.id}


async def test_one_for_which_there_never_are_enough_holds_up_no_other(store: Store) -> None:
    await put(store, nodes=3)
    small = await put(store, nodes=2)
    await here(store, ONE, TWO)

    assert {each.offer.job for each in await called(store)} == {small.id}


async def test_whose_gathering_came_to_nothing_lets_its_workers_go_and_rests(store: Store) -> None:
    job = await put(store, nodes=2)
    await here(store, ONE, TWO)
    await called(store, Patience(within=OVER))

    late = await comes(store, job, ONE)

    assert refusal(late) == "stale"
    assert await called(store, PATIENT) == []
    assert {each.worker for each in await called(store, RESTLESS)} == {ONE, TWO}


async def test_after_its_rest_it_begins_without_those_who_came_before(store: Store) -> None:
    job = await put(store, nodes=2)
    await here(store, ONE, TWO)
    await called(store, Patience(within=timedelta(seconds=0.5)))
    await comes(store, job, ONE)

    async def over() -> bool:
        async with store.begin() as tx:
            return await tx.gathering(PATH) == []

    await eventually(over)

    assert {each.worker for each in await called(store, RESTLESS)} == {ONE, TWO}


async def test_the_job_of_a_tenant_at_its_cap_waits_and_another_tenants_goes(store: Store) -> None:
    capped, other = TenantId("capped"), TenantId("other")
    await put(store, nodes=2, tenant=capped)
    free = await put(store, nodes=2, tenant=other)
    await here(store, ONE, TWO)
    async with store.begin() as tx:
        await tx.set_terms(capped, Terms(max_running=0))

    assert {each.offer.job for each in await called(store)} == {free.id}


async def test_who_has_less_goes_before_who_came_first(store: Store) -> None:
    busy, idle = TenantId("busy"), TenantId("idle")
    await together(store, tenant=busy)
    await put(store, nodes=2, tenant=busy)
    later = await put(store, nodes=2, tenant=idle)

    assert {each.offer.job for each in await called(store)} == {later.id}


async def test_one_that_is_cancelled_while_it_gathers_is_granted_to_nobody(store: Store) -> None:
    job = await put(store, nodes=2)
    await here(store, ONE, TWO)
    await called(store)
    await comes(store, job, ONE)
    await ask_cancel(store, job.tenant, job.id)
    await honour_cancels(store, path=PATH, limit=10)

    assert refusal(await comes(store, job, TWO)) == "over"
    assert await called(store) == []


async def test_a_cancel_is_told_to_every_member(store: Store) -> None:
    job = await together(store)
    await ask_cancel(store, job.tenant, job.id)

    honoured = await honour_cancels(store, path=PATH, limit=10)

    asked = Order(job.id, job.epoch, "cancel")
    assert honoured.hints == [(TWO, asked), (ONE, asked)]
    assert await beats(store, job, ONE) == asked


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "released"])
async def test_when_one_says_how_it_ended_all_are_told_that_it_is_over(
    store: Store, outcome: Any
) -> None:
    job = await together(store)
    said = a_failure(job) if outcome == "failed" else a_result(job, outcome, output={})

    recorded = await record(store, [said], policy=POLICY, random=ANY)

    over = Order(job.id, job.epoch, "lost")
    assert recorded.hints == [(TWO, over), (ONE, over)]
    assert await beats(store, job, ONE) == over


async def test_of_two_that_say_how_it_ended_the_second_changes_nothing(store: Store) -> None:
    job = await together(store)
    await record(store, [a_failure(job, message="the first")], policy=POLICY, random=ANY)

    again = await record(store, [a_result(job, output={})], policy=POLICY, random=ANY)

    assert len(again.stale) == 1
    assert (await read(store, job.id)).error == {"kind": "transient", "message": "the first"}


async def test_a_member_that_falls_silent_ends_the_attempt_of_all(store: Store) -> None:
    job = await together(store, lease=OVER)
    assert (await beats(store, job, TWO)).order == "go"

    swept = await sweep(store, path=PATH, policy=POLICY, limit=10)

    after = await read(store, job.id)
    assert (after.state, after.losses, after.attempt) == (State.QUEUED, 1, 1)
    assert after.error is not None
    assert after.error["message"] == "worker one fell silent during attempt 1"
    assert swept.hints == [(member, Order(job.id, job.epoch, "lost")) for member in (TWO, ONE)]


async def test_while_all_are_heard_it_goes_on(store: Store) -> None:
    job = await together(store, lease=OVER)
    await beats(store, job, ONE)
    await beats(store, job, TWO)

    swept = await sweep(store, path=PATH, policy=POLICY, limit=10)

    assert swept.lost == 0
    assert (await read(store, job.id)).state is State.RUNNING


async def test_what_was_given_back_gathers_again_at_once(store: Store) -> None:
    job = await together(store)
    await record(store, [a_result(job, "released")], policy=POLICY, random=ANY)

    calls = await called(store)

    assert {(each.offer.job, each.offer.epoch) for each in calls} == {(job.id, job.epoch + 1)}
