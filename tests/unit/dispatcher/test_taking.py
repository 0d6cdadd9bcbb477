"""Takes of remote workers: answered at once, or when something comes, without asking the store meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any

import pytest

from headrace.adapters.store.sql.transaction import SqlTransaction
from headrace.api.remote_desk import RemoteDesk
from headrace.contracts.ids import ClaimId, Lane, WorkerId
from headrace.contracts.messages import (
    EngineCard,
    Grant,
    Heartbeat,
    Heartbeats,
    Result,
    Skill,
    Take,
    Taken,
    Takes,
    encode,
)
from headrace.contracts.remote import remote_lane
from headrace.core.job import Job, State
from headrace.core.ports.bus import Parcel
from headrace.core.ports.remotes import Class
from headrace.core.ports.store import Store
from headrace.core.wants import Wants, written
from headrace.dispatcher import quiet
from headrace.testkit.background import served
from headrace.testkit.builders import a_job_id
from headrace.testkit.deciding import LANE, put, read
from headrace.testkit.house import TOPOLOGY, House
from headrace.testkit.scripted_worker import ScriptedWorker
from headrace.testkit.waits import eventually

DRAW = written(Wants("image", ("model",)))
NEVER = asyncio.Event
REMOTE = WorkerId("remote-1")


def a_take(wait_s: float = 0.0, *, models: tuple[str, ...] = ("model",)) -> Take:
    skill = Skill("image", list(models))
    return Take(ClaimId(a_job_id()), skill, lease_s=150.0, wait_s=wait_s)


@asynccontextmanager
async def speaking(house: House) -> AsyncGenerator[RemoteDesk]:
    desk = RemoteDesk(lambda: nullcontext(house.bus), TOPOLOGY, new_id=a_job_id)
    async with served(desk.run_until):
        yield desk


async def a_job(store: Store, **fields: Any) -> Job:
    return await put(store, **{"lane": remote_lane("image"), "wants": DRAW, **fields})


def granted(taken: Taken | None) -> Grant:
    assert taken is not None
    assert taken.grant is not None
    return taken.grant


async def test_what_waits_is_given_at_once(house: House) -> None:
    job = await a_job(house.store)
    async with house.dispatching(), speaking(house) as desk:
        taken = await desk.take(REMOTE, a_take(), unless=NEVER())

    assert granted(taken).job == job.id
    assert (await read(house.store, job.id)).worker == REMOTE


async def test_nothing_is_an_answer_too(house: House) -> None:
    await a_job(house.store, wants=written(Wants("image", ("another",))))
    async with house.dispatching(), speaking(house) as desk:
        taken = await desk.take(REMOTE, a_take(), unless=NEVER())

    assert taken is not None
    assert (taken.grant, taken.skipped) == (None, {"models": 1})


async def test_a_parked_take_has_the_job_that_comes(house: House) -> None:
    async with house.dispatching(), speaking(house) as desk, asyncio.TaskGroup() as group:
        waiting = group.create_task(desk.take(REMOTE, a_take(20), unless=NEVER()))
        await eventually(lambda: is_seen(house.store))
        job = await a_job(house.store)
        async with asyncio.timeout(3):
            taken = await waiting

    assert granted(taken).job == job.id


async def is_seen(store: Store, worker: WorkerId = REMOTE) -> bool:
    async with store.begin() as tx:
        return any(each.id == worker for each in await tx.fleet(limit=1000))


async def test_who_has_waited_longest_is_first(house: House) -> None:
    async with house.dispatching(), speaking(house) as desk, asyncio.TaskGroup() as group:
        workers = [WorkerId(f"remote-{n}") for n in range(3)]
        tasks = []
        for worker in workers:
            tasks.append(group.create_task(desk.take(worker, a_take(20), unless=NEVER())))
            await eventually(lambda worker=worker: is_seen(house.store, worker))  # type: ignore[misc]
        jobs = []
        for _ in workers:
            jobs.append((await a_job(house.store)).id)
            await eventually(lambda: sum(task.done() for task in tasks) == len(jobs))
        taken = [await task for task in tasks]

    assert [granted(each).job for each in taken] == jobs


async def test_while_takes_wait_the_store_is_not_asked_about_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dispatcher's other loops go on; none of them asks again which jobs remote workers want.

    But once in two seconds for all of them, in case that a hint was lost: not in this test.
    """
    monkeypatch.setattr(quiet, "FOUND_WITHIN_S", 60.0)
    asked: Counter[str] = Counter()
    really = SqlTransaction.classes

    async def counted(tx: SqlTransaction, path: str) -> list[Class]:
        asked["classes"] += 1
        return await really(tx, path)

    monkeypatch.setattr(SqlTransaction, "classes", counted)
    async with house.dispatching(), speaking(house) as desk, asyncio.TaskGroup() as group:
        for number in range(20):
            take = desk.take(WorkerId(f"remote-{number}"), a_take(1.0), unless=NEVER())
            group.create_task(take)

    assert asked["classes"] <= 21  # each when it came at most, and all of them once


async def test_who_asks_again_while_nothing_comes_is_answered_without_the_store(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = [WorkerId(f"remote-{number}") for number in range(5)]
    begun = Counter[str]()
    async with house.dispatching(), speaking(house) as desk:
        for worker in workers:
            await desk.take(worker, a_take(), unless=NEVER())
        really = SqlTransaction.see_worker

        async def counted(tx: SqlTransaction, worker: WorkerId, *rest: Any, **more: Any) -> bool:
            begun[worker] += 1
            return await really(tx, worker, *rest, **more)

        monkeypatch.setattr(SqlTransaction, "see_worker", counted)
        again = [await desk.take(worker, a_take(), unless=NEVER()) for worker in workers]

    assert [each and (each.grant, each.drain) for each in again] == [(None, False)] * 5
    assert begun == {}


async def test_what_is_known_to_wait_for_others_is_told_without_the_store_too(
    house: House,
) -> None:
    await a_job(house.store, wants=written(Wants("image", ("another",))))
    async with house.dispatching(), speaking(house) as desk:
        first = await desk.take(REMOTE, a_take(), unless=NEVER())
        again = await desk.take(REMOTE, a_take(), unless=NEVER())

    assert first is not None
    assert again is not None
    assert (again.grant, again.skipped) == (None, first.skipped) == (None, {"models": 1})


async def test_a_job_that_came_meanwhile_is_not_hidden_by_what_was_known(house: House) -> None:
    async with house.dispatching(), speaking(house) as desk:
        await desk.take(REMOTE, a_take(), unless=NEVER())
        job = await a_job(house.store)

        async def taken() -> Any:
            found = await desk.take(REMOTE, a_take(), unless=NEVER())
            return found and found.grant

        found = await eventually(taken, within=2)

    assert found.job == job.id


async def test_who_is_told_to_drain_hears_it_also_while_nothing_comes(house: House) -> None:
    async with house.dispatching(), speaking(house) as desk:
        await desk.take(REMOTE, a_take(), unless=NEVER())
        async with house.store.begin() as tx:
            await tx.ask_drain(REMOTE, drain=True)

        async def drained() -> bool:
            found = await desk.take(REMOTE, a_take(), unless=NEVER())
            return found is not None and found.drain

        assert await eventually(drained, within=2)


async def test_those_who_wait_are_seen_together_once_in_a_while(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet, "LOOK_EVERY_S", 0.3)
    workers = [WorkerId(f"remote-{number}") for number in range(5)]
    async with house.dispatching(), speaking(house) as desk, asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(desk.take(worker, a_take(4.0), unless=NEVER()))
        await eventually(lambda: is_seen(house.store, workers[-1]))
        first = await seen_at(house.store)

        async def later() -> bool:
            now = await seen_at(house.store)
            return all(now[worker] > first[worker] for worker in workers)

        await eventually(later, within=3)
        times = (await seen_at(house.store)).values()

    assert max(times) - min(times) < timedelta(seconds=0.1)  # in one transaction


async def seen_at(store: Store) -> dict[WorkerId, datetime]:
    async with store.begin() as tx:
        return {each.id: each.seen_at for each in await tx.fleet(limit=1000)}


async def test_a_grant_that_nobody_waits_for_any_more_comes_back_at_once(house: House) -> None:
    gone = asyncio.Event()
    async with house.dispatching(), speaking(house) as desk:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(desk.take(REMOTE, a_take(20), unless=gone))
            await eventually(lambda: is_seen(house.store))
            gone.set()
        job = await a_job(house.store)

        async def is_back() -> bool:
            now = await read(house.store, job.id)
            return (now.state, now.attempt, now.losses, now.failures) == (State.QUEUED, 1, 0, 0)

        await eventually(is_back)

    assert waiting.result() is None


async def test_a_grant_whose_api_is_gone_comes_back_at_once(house: House) -> None:
    job = await a_job(house.store)
    asked = Takes(REMOTE, TOPOLOGY.mailbox(WorkerId("an-api-that-died")), [a_take()])
    await house.bus.declare([TOPOLOGY.claims])
    async with house.dispatching():
        await house.bus.send([Parcel(TOPOLOGY.claims, encode(asked))])

        async def is_back() -> bool:
            now = await read(house.store, job.id)
            return (now.state, now.attempt, now.losses) == (State.QUEUED, 1, 0)

        await eventually(is_back)


async def test_several_dispatchers_give_each_job_once(house: House) -> None:
    async with (
        house.dispatching(),
        house.dispatching(),
        speaking(house) as desk,
        asyncio.TaskGroup() as group,
    ):
        tasks = [
            group.create_task(desk.take(WorkerId(f"remote-{n}"), a_take(20), unless=NEVER()))
            for n in range(6)
        ]
        for _ in range(6):
            await a_job(house.store)

    jobs = [granted(task.result()).job for task in tasks]
    assert len(set(jobs)) == 6


async def test_a_result_is_answered_with_whether_it_moved_its_job(house: House) -> None:
    await a_job(house.store)
    async with house.dispatching(), speaking(house) as desk:
        grant = granted(await desk.take(REMOTE, a_take(), unless=NEVER()))
        result = Result(job=grant.job, epoch=grant.epoch, outcome="succeeded", output={"a": 1})

        assert await desk.report(REMOTE, result) is True
        assert await desk.report(REMOTE, result) is False
    assert (await read(house.store, grant.job)).state is State.SUCCEEDED


async def test_a_heartbeat_renews_for_as_long_as_it_says(house: House) -> None:
    await a_job(house.store)
    async with house.dispatching(), speaking(house) as desk:
        grant = granted(await desk.take(REMOTE, a_take(), unless=NEVER()))
        before = (await read(house.store, grant.job)).lease_until
        beats = Heartbeats(
            worker=REMOTE,
            reply_to="",
            sequence=0,
            slots={},
            heartbeats=[Heartbeat(grant.job, grant.epoch, 0.5)],
            lease_s=600.0,
        )
        order = await desk.beat(beats)
        stranger = await desk.beat(
            Heartbeats(
                **{
                    **{f: getattr(beats, f) for f in beats.__struct_fields__},
                    "worker": WorkerId("x"),
                }
            )
        )

    after = await read(house.store, grant.job)
    assert (order.order, stranger.order, after.progress) == ("go", "lost", 0.5)
    assert before is not None
    assert after.lease_until is not None
    assert after.lease_until - before > timedelta(seconds=400)


async def test_jobs_of_one_lane_go_by_turns_to_who_waits_here_and_to_workers_of_ours(
    house: House, worker: ScriptedWorker
) -> None:
    """Neither side, woken first by each job, has them all."""
    async with house.dispatching(), speaking(house) as desk:
        await worker.hello(EngineCard(LANE, "image", ["model"], {}))
        had: Counter[str] = Counter()
        async with asyncio.TaskGroup() as group:
            own = group.create_task(_serve(worker, had))
            remote = group.create_task(_pop(desk, had))
            for _ in range(20):
                done = had.total()
                await a_job(house.store, lane=LANE)
                await eventually(lambda done=done: had.total() > done, within=10)  # type: ignore[misc]
            own.cancel()
            remote.cancel()

    assert had.total() == 20
    assert min(had["own"], had["remote"]) >= 6


async def _serve(worker: ScriptedWorker, had: Counter[str]) -> None:
    while True:
        try:
            grant = await worker.take()
        except TimeoutError:
            continue
        had["own"] += 1
        await worker.end(grant, output={})


async def _pop(desk: RemoteDesk, had: Counter[str]) -> None:
    while True:
        taken = await desk.take(REMOTE, a_take(5), unless=NEVER())
        if taken is not None and taken.grant is not None:
            had["remote"] += 1
            result = Result(taken.grant.job, taken.grant.epoch, "succeeded", {})
            await desk.report(REMOTE, result)


@pytest.mark.parametrize("lane", [remote_lane("image"), Lane("remote.text")])
async def test_a_lane_of_remote_workers_is_never_offered(house: House, lane: Lane) -> None:
    job = await a_job(house.store, lane=lane)
    ours = await put(house.store)
    async with house.dispatching():

        async def is_offered() -> bool:
            async with house.store.begin() as tx:
                return (await tx.crowd(ours)).offered_at is not None

        await eventually(is_offered)
        async with house.store.begin() as tx:
            assert (await tx.crowd(job)).offered_at is None
