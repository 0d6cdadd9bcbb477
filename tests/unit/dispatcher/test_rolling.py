"""A dispatcher takes a bad rollout back by itself, and settles shadows; what it makes anew follows the rollout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from headrace.contracts.ids import START, TenantId
from headrace.core.job import SHADOWS, Job
from headrace.core.ports.paths import DISTRIBUTED, LOCAL
from headrace.core.ports.store import Query, Store
from headrace.core.ports.streams import Batch
from headrace.core.rollout import Basis, Fixed, GuardTerms, Rollout
from headrace.core.usecases.record import record
from headrace.core.usecases.settle import replay_letter
from headrace.core.usecases.shadow import make_shadow
from headrace.testkit.builders import LONG_AGO, a_job_id, a_schedule
from headrace.testkit.deciding import (
    ANY,
    ECHO,
    POLICY,
    a_failure,
    a_result,
    parked_letters,
    put,
    running,
    taken,
)
from headrace.testkit.house import House
from headrace.testkit.waits import eventually

SOON = timedelta(milliseconds=20)
TERMS = GuardTerms(at_least=3)
TENANT = TenantId("tenant")


async def roll_out(store: Store, **fields: Any) -> None:
    async with store.begin() as tx:
        assert await tx.save_rollout(Rollout(version=1, guard=TERMS, **fields))


async def ended(store: Store, path: str, *, well: bool) -> None:
    for _ in range(4):
        job = await running(store, path=path)
        result = a_result(job) if well else a_failure(job, "input")
        await record(store, [result], policy=POLICY, random=ANY)


async def rollout(store: Store) -> Rollout:
    async with store.begin() as tx:
        return await tx.rollout() or Rollout()


async def test_a_bad_rollout_is_taken_back_by_the_loop_and_logged(
    house: House, store: Store
) -> None:
    await roll_out(store, percent=50)
    await ended(store, LOCAL, well=True)
    await ended(store, DISTRIBUTED, well=False)

    async def back() -> bool:
        return (await rollout(store)).percent == 0

    with capture_logs() as logs:
        async with house.dispatching(guard_every=SOON):
            await eventually(back)
            await eventually(lambda: "rollout.rolled_back" in [each["event"] for each in logs])

    assert (await rollout(store)).changed_by == "guard"


async def test_what_the_environment_holds_is_said_once(house: House, store: Store) -> None:
    await roll_out(store, percent=50)
    await ended(store, LOCAL, well=True)
    await ended(store, DISTRIBUTED, well=False)
    fixed = Basis(fixed=Fixed(percent=50.0))

    with capture_logs() as logs:
        async with house.dispatching(guard_every=SOON, basis=fixed):
            await eventually(lambda: "rollout.held" in [each["event"] for each in logs])
            begun = house.store.begun
            await eventually(lambda: house.store.begun > begun + 20)

    assert [each["event"] for each in logs].count("rollout.held") == 1
    assert (await rollout(store)).percent == 50


async def test_a_shadow_is_compared_and_leaves_with_its_stream(house: House, store: Store) -> None:
    job = await put(store)
    async with store.begin() as tx:
        shadow = await make_shadow(tx, job, a_job_id())
    assert shadow is not None
    await house.streams.append([Batch(shadow.id, 0, [("queued", b"{}")], first_seq=1)])
    for each in (job, shadow):
        (held,) = await taken(store, each)
        await record(store, [a_result(held, output={})], policy=POLICY, random=ANY)

    async def settled() -> tuple[int, int]:
        async with store.begin() as tx:
            assert (await tx.compared())[0]
            return await tx.compared()

    async with house.dispatching(shadows_every=SOON):
        counts = await eventually(settled)
        await eventually(lambda: no_log(house, shadow))

    assert counts == (1, 1)
    async with store.begin() as tx:
        assert await tx.page(SHADOWS, Query()) == []


async def no_log(house: House, job: Job) -> bool:
    return not (await house.streams.read(job.id, START, limit=10)).entries


@pytest.mark.parametrize(
    ("basis", "path"),
    [(None, LOCAL), (Basis(), DISTRIBUTED), (Basis(fixed=Fixed(percent=0.0)), LOCAL)],
)
async def test_what_a_schedule_or_a_replay_makes_goes_where_new_jobs_go(
    house: House, store: Store, basis: Basis | None, path: str
) -> None:
    await roll_out(store, percent=100)
    dead = await died(store)
    (letter,) = await parked_letters(store)
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])
        await tx.insert_schedule(a_schedule(next_at=LONG_AGO, path=LOCAL))
        await replay_letter(tx, letter.number, who="ann")

    async def made() -> Sequence[Job]:
        async with store.begin() as tx:
            jobs = [each for each in await tx.page(TENANT, Query()) if each.id != dead.id]
        assert len(jobs) == 2
        return jobs

    async with house.dispatching(basis=basis):
        jobs = await eventually(made)

    assert {each.path for each in jobs} == {path}


async def died(store: Store) -> Job:
    job = await running(store)
    await record(store, [a_failure(job)], policy=replace(POLICY, failures=1), random=ANY)
    return job
