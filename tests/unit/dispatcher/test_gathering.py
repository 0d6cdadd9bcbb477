"""Jobs for two workers, with workers who run them: called together, granted together, ended together."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from headrace.contracts.ids import Lane, WorkerId
from headrace.core.job import Job, State
from headrace.core.usecases.cancel import ask_cancel
from headrace.engines.registry import card
from headrace.gpu_worker.options import LaneOptions, Limits, WorkerOptions
from headrace.testkit.background import Served
from headrace.testkit.deciding import history, put, read
from headrace.testkit.house import TOPOLOGY, House
from headrace.testkit.play import ENGINE, PlayEngine
from headrace.testkit.waits import eventually
from headrace.testkit.working import frames_of, working

LANE = Lane("play")
LONG = 20.0  # for children of workers to start, on a busy machine


@pytest.fixture
def options(house: House) -> WorkerOptions:
    numbers = count(1)
    lane = LaneOptions(card=card(LANE, PlayEngine), engine=ENGINE, preload="calm", gang=True)
    return WorkerOptions(
        bus=house.bus,
        streams=house.streams,
        blobs=house.blobs,
        topology=TOPOLOGY,
        worker=WorkerId("nobody"),
        lanes=[lane],
        new_id=lambda: f"id-{next(numbers)}",
        devices=["0"],
        at="this-host",
        limits=Limits(claim_answer_s=0.2, cancel_grace_s=0.3, drain_s=0.1, first_word_s=0.3),
    )


def named(options: WorkerOptions, name: str) -> AbstractAsyncContextManager[Served]:
    return working(replace(options, worker=WorkerId(name)))


@pytest.fixture
async def two(house: House, options: WorkerOptions) -> AsyncGenerator[None]:
    """Two workers and two dispatchers."""
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(house.dispatching())
        for name in ("one", "two"):
            await stack.enter_async_context(named(options, name))
        yield


async def asked(house: House, act: str = "part", nodes: int = 2, **fields: Any) -> Job:
    given = {"act": act, **fields}
    return await put(
        house.store, kind="play", model="calm", lane=LANE, input=given, nodes=nodes, gpus=1
    )


async def becomes(house: House, job: Job, state: State) -> Job:
    async def so() -> bool:
        return (await read(house.store, job.id)).state is state

    await eventually(so, within=LONG)
    return await read(house.store, job.id)


async def members(house: House, job: Job) -> list[list[str]]:
    return [[str(each) for each in one.members] for one in await history(house.store, job.id)]


@pytest.mark.usefixtures("two")
async def test_both_run_their_part_and_the_first_says_what_came_of_it(house: House) -> None:
    job = await asked(house)

    done = await becomes(house, job, State.SUCCEEDED)

    assert done.output is not None
    assert (done.output["part"]["rank"], done.output["part"]["of"]) == (0, 2)
    (both,) = await members(house, job)
    assert sorted(both) == ["one", "two"]
    said = [type(each).__name__ for each in await frames_of(house.streams, job.id)]
    assert said.count("Token") == 1


@pytest.mark.usefixtures("two")
async def test_many_that_want_both_and_many_that_want_one_all_end(house: House) -> None:
    jobs = [await asked(house, nodes=1 + number % 2) for number in range(8)]

    for job in jobs:
        await becomes(house, job, State.SUCCEEDED)


async def test_with_one_worker_it_waits_and_other_jobs_of_the_lane_run(
    house: House, options: WorkerOptions
) -> None:
    async with house.dispatching(), named(options, "one"):
        together = await asked(house)
        alone = await asked(house, "devices", nodes=1)
        await becomes(house, alone, State.SUCCEEDED)
        before = (await read(house.store, together.id)).state
        async with named(options, "two"):
            await becomes(house, together, State.SUCCEEDED)

    assert before is State.QUEUED


@pytest.mark.usefixtures("two")
async def test_when_the_process_of_one_dies_the_attempt_ends_on_both_and_each_is_free_again(
    house: House,
) -> None:
    job = await asked(house, "second crashes")

    dead = await becomes(house, job, State.DEAD)
    after = await asked(house)
    await becomes(house, after, State.SUCCEEDED)

    assert dead.error is not None
    assert dead.error["kind"] == "worker_lost"
    assert all(each.outcome == "failed" for each in await history(house.store, job.id))


@pytest.mark.usefixtures("two")
async def test_a_cancel_ends_it_on_both_and_each_is_free_again(house: House) -> None:
    job = await asked(house, "wait")
    await becomes(house, job, State.RUNNING)

    await ask_cancel(house.store, job.tenant, job.id)
    await becomes(house, job, State.CANCELLED)
    after = await asked(house)
    await becomes(house, after, State.SUCCEEDED)

    assert len(await history(house.store, job.id)) == 1


async def test_who_leaves_gives_the_whole_back_and_another_takes_its_place(
    house: House, options: WorkerOptions
) -> None:
    async with house.dispatching(), named(options, "one"), named(options, "two") as two:
        job = await asked(house, "wait")
        await becomes(house, job, State.RUNNING)
        two.stop.set()
        await two.ended()
        async with named(options, "three"):
            await eventually(lambda: has_attempts(house, job, 2), within=LONG)

    first, second = (await history(house.store, job.id))[:2]
    assert first.outcome == "released"
    assert {*first.members, *second.members} == {"one", "two", "three"}
    assert (await read(house.store, job.id)).failures == 0


async def has_attempts(house: House, job: Job, number: int) -> bool:
    return len(await history(house.store, job.id)) >= number
