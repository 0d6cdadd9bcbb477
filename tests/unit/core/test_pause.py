"""From the moment a lane is paused nothing of it starts; then it goes on where it was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from headrace.contracts.ids import Lane
from headrace.contracts.messages import Grant, Refusal
from headrace.core.job import Job, State
from headrace.core.ports.store import Store
from headrace.core.usecases.choose import Turns, choose
from headrace.core.usecases.claim import claim
from headrace.core.usecases.pause import pause, resume
from headrace.testkit.deciding import (
    LANE,
    LEASE,
    PATH,
    WORKER,
    a_claim,
    outbox,
    outstanding,
    put,
    read,
)


@pytest.fixture
async def offered(store: Store) -> Job:
    job = await put(store)
    async with store.begin() as tx:
        rows = await choose(tx, PATH, LANE, 1, Turns())
        await tx.mark_sent(await tx.reserve(rows, until=await tx.now() + LEASE))
    return job


async def answer(store: Store, job: Job, **fields: Any) -> Grant | Refusal:
    (said,) = (await claim(store, WORKER, [a_claim(job, **fields)], lease=LEASE)).answers
    return said


async def test_what_was_offered_before_the_pause_does_not_start(store: Store, offered: Job) -> None:
    await pause(store, LANE, who="ann")

    said = await answer(store, offered)

    assert isinstance(said, Refusal)
    assert said.reason == "stale"
    assert (await read(store, offered.id)).state is State.QUEUED


async def test_it_waits_to_be_offered_again_when_the_lane_goes_on(
    store: Store, offered: Job
) -> None:
    await pause(store, LANE, who="ann")
    await answer(store, offered)
    assert await outstanding(store) == 0

    await resume(store, LANE, who="ann")

    assert [row.job for row in await outbox(store)] == [offered.id]
    assert isinstance(await answer(store, offered), Grant)


async def test_what_runs_keeps_its_grant_through_a_pause(store: Store, offered: Job) -> None:
    first = await answer(store, offered)
    await pause(store, LANE, who="ann")

    assert await answer(store, offered) == first


async def test_other_lanes_go_on(store: Store, offered: Job) -> None:
    await pause(store, Lane("another"), who="ann")

    assert isinstance(await answer(store, offered), Grant)


async def test_pausing_twice_is_pausing_once(store: Store) -> None:
    since = await pause(store, LANE, who="ann")

    assert await pause(store, LANE, who="ann") == since
    async with store.begin() as tx:
        assert (await tx.now()) - since < timedelta(minutes=1)
