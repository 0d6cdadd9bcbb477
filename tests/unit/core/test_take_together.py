"""A remote worker with room for several takes those that differ by their seed alone, as one batch."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from headrace.contracts.ids import ClaimId, JobId, TenantId, WorkerId
from headrace.contracts.messages import INPUT_BLOB, Grant, Skill, Take, grants_of
from headrace.contracts.remote import remote_lane
from headrace.core.job import State
from headrace.core.ports.store import Store, Terms
from headrace.core.usecases.choose import Turns
from headrace.core.usecases.take import TakenUp, take
from headrace.core.wants import Wants, alike, written
from headrace.testkit.deciding import PATH, put, read, told

A, B = TenantId("a"), TenantId("b")
REMOTE = WorkerId("remote-1")
WANTS = written(Wants("image", ("model",)))
CLAIMS = [ClaimId(f"claim-{n}") for n in range(4)]


@pytest.fixture
def turns() -> defaultdict[str, Turns]:
    return defaultdict(Turns)


async def taking(store: Store, turns: defaultdict[str, Turns], claims: int = 4) -> TakenUp:
    first, *more = CLAIMS[:claims]
    asked = Take(first, Skill("image", ["model"]), 150.0, more=more)
    return await take(store, REMOTE, asked, paths=[PATH], turns=turns)


async def a_job(store: Store, *, seed: int, tenant: TenantId = A, **more: Any) -> JobId:
    given = {"prompt": "a fox", **more, "params": {"seed": str(seed), "steps": 20}}
    lane = remote_lane("image")
    return (await put(store, lane=lane, wants=WANTS, tenant=tenant, input=given)).id


def granted(found: TakenUp) -> list[Grant]:
    return grants_of(found.answer)


async def test_those_that_differ_by_their_seed_come_together_each_under_its_own_claim(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    jobs = [await a_job(store, seed=n) for n in range(3)]

    found = await taking(store, turns)

    assert [each.job for each in granted(found)] == jobs
    assert [each.claim for each in granted(found)] == CLAIMS[:3]
    assert [each.input.get("prompt") for each in granted(found)] == ["a fox", None, None]
    held = [await read(store, job) for job in jobs]
    assert {(job.state, job.worker) for job in held} == {(State.RUNNING, REMOTE)}
    assert [job.claim for job in held] == CLAIMS[:3]
    assert found.claimed is not None
    assert told(found.claimed.announcements) == [
        (job, epoch, frame) for job in jobs for epoch, frame in enumerate(("queued", "started"))
    ]


async def test_no_more_come_than_were_asked_for(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    jobs = [await a_job(store, seed=n) for n in range(3)]

    found = await taking(store, turns, claims=2)

    assert [each.job for each in granted(found)] == jobs[:2]
    assert (await read(store, jobs[2])).state is State.QUEUED


async def test_another_prompt_or_another_tenant_is_another_batch(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    first = await a_job(store, seed=1)
    await a_job(store, seed=2, prompt="a hen")
    await a_job(store, seed=3, tenant=B)
    last = await a_job(store, seed=4)

    found = await taking(store, turns)

    assert [each.job for each in granted(found)] == [first, last]


async def test_a_cap_holds_for_a_batch_too(store: Store, turns: defaultdict[str, Turns]) -> None:
    for seed in range(4):
        await a_job(store, seed=seed)
    async with store.begin() as tx:
        await tx.set_terms(A, Terms(max_running=2))

    found = await taking(store, turns)

    assert len(granted(found)) == 2


async def test_the_same_take_gets_the_same_batch(
    store: Store, turns: defaultdict[str, Turns]
) -> None:
    for seed in range(3):
        await a_job(store, seed=seed)
    first = await taking(store, turns)
    await a_job(store, seed=9)

    again = await taking(store, turns)

    assert granted(again) == granted(first)
    assert again.claimed is None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"prompt": "a", "params": {"seed": "1"}}, {"prompt": "a", "params": {"seed": "2"}}, True),
        ({"prompt": "a"}, {"prompt": "a"}, True),
        ({"prompt": "a", "params": {"n": 1}}, {"prompt": "a", "params": {"n": 2}}, False),
        ({"prompt": "a"}, {"prompt": "b"}, False),
        ({"prompt": "a", "disable_batching": True}, {"prompt": "a"}, False),
        ({INPUT_BLOB: "b"}, {INPUT_BLOB: "b"}, False),
        ({"form": "caption"}, {"form": "caption"}, False),
    ],
)
def test_what_is_alike(one: dict[str, Any], other: dict[str, Any], *, expected: bool) -> None:
    assert alike(one, other) is expected
