"""A remote worker takes what fits it: in the fair order, below every cap, offered to others or not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container
from datetime import timedelta
from typing import Any

import pytest

from headrace.contracts.ids import ClaimId, JobId, TenantId, WorkerId
from headrace.contracts.messages import Claim, Grant, Refusal, Skill, Take
from headrace.contracts.remote import remote_lane
from headrace.core.job import Job, State
from headrace.core.ports.store import Store, Terms, Waiting
from headrace.core.usecases.choose import Turns, choose
from headrace.core.usecases.claim import Claimed, claim
from headrace.core.usecases.sweep import sweep
from headrace.core.usecases.take import TakenUp, take
from headrace.core.wants import Wants, written
from headrace.testkit.deciding import (
    LANE,
    LEASE,
    PATH,
    POLICY,
    WORKER,
    a_claim,
    put,
    read,
    see,
    told,
)

A, B = TenantId("a"), TenantId("b")
DRAW = Wants("image", ("model",), pixels=64)
REMOTE = WorkerId("remote-1")
SKILL = Skill(kind="image", models=["other", "model"], max_pixels=64)


@pytest.fixture
def turns() -> defaultdict[str, Turns]:
    return defaultdict(Turns)


_numbers = iter(range(1, 1_000_000))


async def taking(
    store: Store,
    turns: defaultdict[str, Turns],
    *,
    id_: str | None = None,
    worker: WorkerId = REMOTE,
    lease_s: float = 150.0,
    kept: Container[JobId] = (),
    **skill: Any,
) -> TakenUp:
    can = Skill(**{**{name: getattr(SKILL, name) for name in SKILL.__struct_fields__}, **skill})
    asked = Take(ClaimId(id_ or f"take-{next(_numbers)}"), can, lease_s)
    return await take(store, worker, asked, paths=[PATH], turns=turns, kept=kept)


async def a_job(store: Store, wants: Wants = DRAW, **fields: Any) -> Job:
    return await put(store, **{"lane": remote_lane("image"), "wants": written(wants), **fields})


def job_of(found: TakenUp) -> str | None:
    return None if found.answer.grant is None else found.answer.grant.job


async def test_it_is_granted_like_any_claim_for_the_lease_that_was_asked_for(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    job = await a_job(store, input={"own": 1}, payload={"prompt": "a fox"})

    found = await taking(store, turns)

    now = await read(store, job.id)
    grant = found.answer.grant
    assert isinstance(grant, Grant)
    assert (grant.job, grant.epoch, grant.attempt, grant.lease_s) == (job.id, 1, 1, 150.0)
    assert (grant.input, found.answer.model) == ({"prompt": "a fox"}, "model")
    assert (now.state, now.worker, now.claim) == (State.RUNNING, REMOTE, grant.claim)
    assert found.claimed is not None
    assert now.lease_until == found.claimed.at + timedelta(seconds=150)
    assert told(found.claimed.announcements) == [(job.id, 0, "queued"), (job.id, 1, "started")]


async def test_the_same_take_gets_the_same_grant_and_no_second_job(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    for _ in range(2):
        await a_job(store)

    first = await taking(store, turns, id_="once")
    second = await taking(store, turns, id_="once")

    assert first.answer.grant == second.answer.grant
    assert second.claimed is None


async def test_a_take_whose_job_it_lost_gets_no_other(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    await a_job(store)
    await taking(store, turns, id_="once", lease_s=-30)
    await sweep(store, path=PATH, policy=POLICY, limit=10)

    assert job_of(await taking(store, turns, id_="once")) is None
    assert job_of(await taking(store, turns, id_="another")) is not None


async def test_tenants_have_their_turns_by_weight(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    async with store.begin() as tx:
        await tx.set_terms(A, Terms(weight=3))
    for tenant in (A, B):
        for _ in range(20):
            await a_job(store, tenant=tenant)

    had = [await taking(store, turns) for _ in range(16)]

    tenants = Counter(found.answer.grant.tenant for found in had if found.answer.grant)
    assert tenants == {A: 12, B: 4}


async def test_a_ring_longer_than_a_page_is_gone_round(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    names = [TenantId(f"tenant-{n:03}") for n in range(70)]
    for _ in range(2):
        for name in names:
            await a_job(store, tenant=name)

    had = [await taking(store, turns) for _ in range(140)]

    order = [found.answer.grant.tenant for found in had if found.answer.grant]
    assert order == [*names, *names]


async def test_who_only_fits_some_finds_them_behind_all_that_do_not(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    for _ in range(50):
        await a_job(store, replace_models("others"))
    mine = await a_job(store)

    found = await taking(store, turns)

    assert job_of(found) == mine.id


def replace_models(*models: str) -> Wants:
    return Wants("image", models, pixels=64)


async def test_what_is_not_for_it_is_counted_by_the_reason(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    for _ in range(3):
        await a_job(store, replace_models("others"))
    await a_job(store, Wants("image", (), pixels=65))
    await a_job(store, Wants("text", ("words",)))

    found = await taking(store, turns)

    assert found.answer.grant is None
    assert found.answer.skipped == {"models": 3, "max_pixels": 1}


async def test_barred_words_are_passed_over_and_counted(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    await a_job(store, input={"prompt": "a WOLF at night"})
    await a_job(store, input={"input_blob": "too-large-to-be-read-here"})

    nothing = await taking(store, turns, blacklist=["wolf"])
    fox = await a_job(store, input={"prompt": "a fox"})
    found = await taking(store, turns, blacklist=["wolf"])

    assert nothing.answer.skipped == {"blacklist": 2}
    assert job_of(found) == fox.id


async def test_some_users_jobs_go_before_all_others(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    await a_job(store, tenant=A)
    favoured = await a_job(store, tenant=B)

    assert job_of(await taking(store, turns, first=[B])) == favoured.id


async def test_a_cap_holds_and_what_is_offered_is_counted_once(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    async with store.begin() as tx:
        await tx.set_terms(A, Terms(max_running=1))
    offered, _ = await a_job(store, tenant=A, lane=LANE), await a_job(store, tenant=A, lane=LANE)
    async with store.begin() as tx:
        rows = await choose(tx, PATH, LANE, 2, Turns())
        await tx.reserve(rows, until=await tx.now() + LEASE)

    first, second = await taking(store, turns), await taking(store, turns)

    assert job_of(first) == offered.id
    assert job_of(second) is None


async def test_an_offer_of_what_was_taken_is_refused(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    job = await a_job(store, lane=LANE)
    async with store.begin() as tx:
        rows = await choose(tx, PATH, LANE, 1, Turns())
        await tx.reserve(rows, until=await tx.now() + LEASE)
        await tx.mark_sent(rows)

    assert job_of(await taking(store, turns)) == job.id
    (answer,) = (await claim(store, WORKER, [a_claim(job)], lease=LEASE)).answers

    assert isinstance(answer, Refusal)
    assert answer.reason == "taken"


async def test_a_worker_of_ours_and_a_remote_one_share_a_lane_and_neither_starves(
    store: Store, turns: defaultdict[str, Turns], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remote one asks each time before the other claims, and leaves it what it was just offered."""
    monkeypatch.setattr("headrace.core.usecases.take.YOUNG_JOB", timedelta(0))
    await see(store, 1)
    own = Turns()
    for tenant in (A, B):
        for _ in range(20):
            await a_job(store, tenant=tenant, lane=LANE)

    had: dict[str, Counter[str]] = {"own": Counter(), "remote": Counter()}
    for _ in range(20):
        (offer,) = await offered(store, own)
        found = await taking(store, turns)
        (answer,) = (await claimed(store, offer)).answers
        assert isinstance(answer, Grant)
        assert found.answer.grant is not None
        had["own"][answer.tenant] += 1
        had["remote"][found.answer.grant.tenant] += 1

    assert had == {"own": {A: 10, B: 10}, "remote": {A: 10, B: 10}}


async def test_what_just_came_is_left_to_workers_of_ours_unless_it_was_kept_for_remote_ones(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    await see(store, 1)
    job = await a_job(store, lane=LANE)

    young = await taking(store, turns)
    kept = await taking(store, turns, kept={job.id})

    assert (job_of(young), young.soon) == (None, True)
    assert job_of(kept) == job.id


async def test_an_offer_that_nobody_claims_is_taken_after_a_moment(
    store: Store, turns: defaultdict[str, Turns], monkeypatch: pytest.MonkeyPatch
) -> None:
    await see(store, 1)
    job = await a_job(store, lane=LANE)
    await offered(store, Turns())

    young = await taking(store, turns)
    monkeypatch.setattr("headrace.core.usecases.take.YOUNG_OFFER", timedelta(0))
    old = await taking(store, turns)

    assert (job_of(young), young.soon) == (None, True)
    assert job_of(old) == job.id


async def offered(store: Store, turns: Turns) -> list[Waiting]:
    async with store.begin() as tx:
        rows = await tx.reserve(
            await choose(tx, PATH, LANE, 1, turns), until=await tx.now() + LEASE
        )
        await tx.mark_sent(rows)
    return rows


async def claimed(store: Store, offer: Waiting) -> Claimed:
    asked = Claim(ClaimId(f"of-{offer.job}"), offer.job, offer.epoch)
    return await claim(store, WORKER, [asked], lease=LEASE)


async def test_who_is_told_to_drain_gets_nothing(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    await a_job(store)
    await taking(store, turns, models=["nothing"])
    async with store.begin() as tx:
        assert await tx.ask_drain(REMOTE, drain=True)

    found = await taking(store, turns)

    assert (found.answer.drain, found.answer.grant) == (True, None)


async def test_what_was_asked_to_end_is_not_given_out(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    job = await a_job(store)
    async with store.begin() as tx:
        await tx.ask_cancel(job.tenant, job.id)

    assert job_of(await taking(store, turns)) is None


async def test_a_worker_that_vanishes_costs_its_job_one_loss_and_no_more_than_the_budget(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    job = await a_job(store)

    states = []
    for _ in range(POLICY.losses):
        assert job_of(await taking(store, turns, lease_s=-30)) == job.id
        await sweep(store, path=PATH, policy=POLICY, limit=10)
        now = await read(store, job.id)
        states.append((now.state, now.losses))

    assert states[:-1] == [(State.QUEUED, n) for n in range(1, POLICY.losses)]
    assert states[-1][0] is State.DEAD
