"""What operators ask of a store: anybody's jobs, loads, what came and went, workers to drain."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pytest

from headrace.contracts.ids import JobId, Lane, TenantId, WorkerId
from headrace.contracts.messages import Gpu, Hearing, Vitals
from headrace.core.errors import InvalidInput
from headrace.core.job import Event, Job, State
from headrace.core.ports.operations import Percentiles
from headrace.core.ports.queries import Search
from headrace.core.ports.store import Store, WorkerRecord
from headrace.testkit.builders import a_job_id
from headrace.testkit.conformance.store.room import SOON, StoreRoom, grant, move, put, read

BROKE = {"kind": "internal", "message": "RuntimeError: CUDA out of memory, 100%"}


async def found(store: Store, **wanted: Any) -> list[JobId]:
    async with store.begin() as tx:
        return [job.id for job in (await tx.search(Search(**wanted))).jobs]


async def ended(store: Store, job: Job, event: Event, **fields: Any) -> Job:
    await grant(store, job)
    return await move(store, job, event, **fields)


class Searching(StoreRoom):
    async def test_anybodys_job_is_found_by_its_id(self, store: Store, new: Any) -> None:
        (job,) = await put(store, new())

        async with store.begin() as tx:
            assert await tx.anybodys(job.id) == job
            assert await tx.anybodys(a_job_id()) is None
            assert await tx.anybodys(JobId("\0")) is None

    async def test_a_search_meets_jobs_of_every_tenant(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        other = TenantId(f"another-{a_job_id()}")
        mine, theirs = await put(store, new(), new(tenant=other))

        assert set(await found(store, path=path)) == {mine.id, theirs.id}
        assert await found(store, path=path, tenant=other) == [theirs.id]
        assert await found(store, ids=[mine.id]) == [mine.id]

    async def test_a_search_is_narrowed_by_all_that_it_names(
        self, store: Store, new: Any, path: str
    ) -> None:
        small, large, _ = await put(
            store,
            new(kind="text", model="small", labels={"team": "red"}),
            new(kind="text", model="large"),
            new(),
        )

        assert await found(store, path=path, kind="text", model="large") == [large.id]
        assert await found(store, path=path, label=("team", "red")) == [small.id]
        assert await found(store, path=path, label=("team", "blue")) == []

    async def test_a_search_is_narrowed_to_a_lane(
        self, store: Store, new: Any, path: str, lane: Lane
    ) -> None:
        here, _ = await put(store, new(lane=lane), new(lane=Lane(f"{lane}-other")))

        assert await found(store, path=path, lane=lane) == [here.id]
        with pytest.raises(InvalidInput):
            await found(store, lane=Lane("\0"))

    async def test_what_went_wrong_is_found_by_a_part_of_what_was_said(
        self, store: Store, new: Any, path: str
    ) -> None:
        failed, dead, fine = await put(store, new(), new(), new())
        await ended(store, failed, Event.FAILED, error=BROKE)
        await ended(store, dead, Event.BURIED, error={"kind": "transient", "message": "elsewhere"})
        await ended(store, fine, Event.FINISHED, output={"text": "CUDA out of memory"})

        assert await found(store, path=path, error="cuda OUT of") == [failed.id]
        assert await found(store, path=path, error="100%") == [failed.id]
        assert await found(store, path=path, error="CUDA%memory") == []
        assert await found(store, path=path, error="elsewhere", state=State.FAILED) == []
        assert await found(store, path=path, state=State.DEAD) == [dead.id]

    async def test_what_a_worker_runs_and_what_it_ran_is_found(
        self, store: Store, new: Any, path: str
    ) -> None:
        mine, theirs, _ = await put(store, new(), new(), new())
        one, other = (WorkerId(f"{name}-{path}") for name in ("one", "other"))
        for job, worker in ((mine, one), (theirs, other)):
            granted = replace(await move(store, job, Event.GRANTED, worker=worker), worker=worker)
            async with store.begin() as tx:
                await tx.open_attempts([granted])
        await move(store, theirs, Event.FINISHED, output={})

        assert await found(store, path=path, worker=one) == [mine.id]
        assert await found(store, path=path, worker=one, state=State.RUNNING) == [mine.id]
        assert await found(store, path=path, worker=other) == [theirs.id]

    async def test_what_is_held_is_found_whoever_has_it(
        self, store: Store, new: Any, path: str
    ) -> None:
        running, _ = await put(store, new(), new())
        await grant(store, running)

        assert await found(store, path=path, state=State.RUNNING) == [running.id]
        assert await found(store, path=path, state=State.CANCELLING) == []

    async def test_states_may_be_several(self, store: Store, new: Any, path: str) -> None:
        done, waits = await put(store, new(), new())
        await ended(store, done, Event.FINISHED, output={})

        assert await found(store, path=path, states=[State.SUCCEEDED, State.DEAD]) == [done.id]
        assert await found(store, path=path, states=[State.QUEUED, State.RUNNING]) == [waits.id]

    async def test_pages_of_a_search_go_on_where_the_last_one_stopped(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        jobs = await put(store, *(new() for _ in range(5)))
        seen: list[JobId] = []
        before = None

        for _ in range(3):
            async with store.begin() as tx:
                page = await tx.search(Search(tenant=tenant, limit=2, before=before))
            seen += [job.id for job in page.jobs]
            before = page.next

        assert before is None
        assert len(seen) == 5
        assert set(seen) == {job.id for job in jobs}


class Changing(StoreRoom):
    async def test_wishes_are_recorded_once_and_only_where_they_can_be_granted(
        self, store: Store, new: Any
    ) -> None:
        waits, wished, done = await put(store, new(), new(), new())
        await ended(store, done, Event.FINISHED, output={})
        async with store.begin() as tx:
            await tx.ask_cancel(wished.tenant, wished.id)

        async with store.begin() as tx:
            new_ones = await tx.wish_all([waits.id, wished.id, done.id, a_job_id()])
            none = await tx.wish_all([])

        assert (new_ones, none) == ([waits.id], [])
        assert (await read(store, waits)).cancel_asked_at is not None
        assert (await read(store, done)).cancel_asked_at is None

    async def test_a_job_is_placed_before_and_behind_its_tenants_others(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        first, second, third = await put(store, new(), new(), new())

        async with store.begin() as tx:
            assert await tx.place(third.id, "front")
            assert await tx.place(first.id, "back")
            heads = await tx.waiting(path, Lane("echo"), {tenant: 3})

        assert [each.job for each in heads[tenant]] == [third.id, second.id, first.id]

    async def test_a_priority_that_changes_moves_what_waits_and_stays(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        first, second = await put(store, new(), new(priority=2))

        async with store.begin() as tx:
            await tx.reprioritise(first.id, 5)
            await tx.reprioritise(second.id, 1)
            heads = await tx.waiting(path, Lane("echo"), {tenant: 2})
        kept = await read(store, first)
        back = await move(store, first, Event.GRANTED, Event.RELEASED)

        assert [each.job for each in heads[tenant]] == [first.id, second.id]
        assert (kept.spec.priority, back.spec.priority) == (5, 5)
        async with store.begin() as tx:
            again = await tx.waiting(path, Lane("echo"), {tenant: 2})
        assert [each.job for each in again[tenant]] == [first.id, second.id]

    async def test_what_is_offered_has_no_place_to_change(
        self, store: Store, new: Any, path: str, tenant: TenantId
    ) -> None:
        sent, reserved = await put(store, new(), new())
        async with store.begin() as tx:
            rows = (await tx.waiting(path, Lane("echo"), {tenant: 2}))[tenant]
            await tx.mark_sent(rows[:1])
            await tx.reserve(rows[1:], until=await tx.now() + SOON)

        async with store.begin() as tx:
            assert not await tx.place(sent.id, "front")
            assert not await tx.place(reserved.id, "back")


class Looking(StoreRoom):
    @pytest.fixture
    def lane(self) -> Lane:
        return Lane(f"lane-{secrets.token_hex(6)}")

    async def test_a_lane_s_load_is_what_waits_is_offered_and_runs(
        self, store: Store, new: Any, path: str, lane: Lane, tenant: TenantId
    ) -> None:
        jobs = await put(store, *(new(lane=lane) for _ in range(5)))
        await grant(store, jobs[0])
        async with store.begin() as tx:
            rows = (await tx.waiting(path, lane, {tenant: 2}))[tenant]
            await tx.mark_sent(rows[:1])
            await tx.reserve(rows[1:2], until=await tx.now() + SOON)

        async with store.begin() as tx:
            found = await tx.loads([])

        (load,) = [each for each in found.lanes if each.lane == lane]
        assert (load.path, load.waiting, load.offered, load.running) == (path, 2, 2, 1)
        assert found.oldest[lane] == jobs[1].created_at

    async def test_what_is_planned_for_later_does_not_wait_and_ages_from_its_time(
        self, store: Store, new: Any, lane: Lane
    ) -> None:
        async with store.begin() as tx:
            now = await tx.now()
        later, due = await put(
            store,
            new(lane=lane, state=State.SCHEDULED, not_before=now + SOON),
            new(lane=lane, state=State.SCHEDULED, not_before=now - SOON),
        )
        await move(store, due, Event.DUE)

        async with store.begin() as tx:
            found = await tx.loads([lane])

        (load,) = [each for each in found.lanes if each.lane == lane]
        assert load.waiting == 1
        assert found.oldest[lane] == now - SOON
        assert (await read(store, later)).state is State.SCHEDULED

    async def test_a_lane_where_nothing_waits_has_no_age(self, store: Store, lane: Lane) -> None:
        async with store.begin() as tx:
            found = await tx.loads([lane])

        assert lane not in found.oldest
        assert [each for each in found.lanes if each.lane == lane] == []

    async def test_who_attends_to_a_path_is_told(self, store: Store, path: str) -> None:
        async with store.begin() as tx:
            now = await tx.now()
            await tx.attend(path, until=now + SOON)
            await tx.attend(f"left-{path}", until=now - SOON)
            attended = (await tx.loads([])).attended

        assert (attended[path], attended[f"left-{path}"]) == (True, False)

    async def test_what_came_and_went_is_counted_where_it_happened(
        self, store: Store, new: Any, path: str
    ) -> None:
        async with store.begin() as tx:
            since = await tx.now()
        well, badly, _ = await put(store, new(), new(), new())
        await ended(store, well, Event.FINISHED, output={})
        await ended(store, badly, Event.FAILED, error=BROKE)

        async with store.begin() as tx:
            told = await tx.recent(since=since - SOON, bucket=SOON)

        here = [each for each in told.ended if each.path == path]
        assert {(each.bucket, each.state, each.count) for each in here} == {
            (1, State.SUCCEEDED, 1),
            (1, State.FAILED, 1),
        }
        assert told.accepted[1] >= 3
        assert told.since == since - SOON

    async def test_percentiles_are_times_that_jobs_took_to_two_digits(
        self, store: Store, new: Any, path: str
    ) -> None:
        async with store.begin() as tx:
            since = await tx.now()
        jobs = await put(store, *(new() for _ in range(3)))
        took: list[tuple[float, float]] = []
        for job in jobs:
            await ended(store, job, Event.FINISHED, output={})
            done = await read(store, job)
            assert done.created_at
            assert done.started_at
            assert done.finished_at
            wait, run = done.started_at - done.created_at, done.finished_at - done.started_at
            took.append((wait.total_seconds(), run.total_seconds()))

        async with store.begin() as tx:
            told = await tx.recent(since=since - SOON, bucket=SOON)

        waits, runs = (sorted(each) for each in zip(*took, strict=True))
        for percentiles, times in ((told.wait_on[path], waits), (told.run_on[path], runs)):
            assert percentiles.p50_s == pytest.approx(times[1], rel=0.051, abs=0.0021)
            assert percentiles.p95_s == pytest.approx(times[2], rel=0.051, abs=0.0021)
        assert told.wait != Percentiles()
        assert 1 in told.wait_in


class Draining(StoreRoom):
    @pytest.fixture
    def worker(self) -> WorkerId:
        return WorkerId(f"worker-{secrets.token_hex(6)}")

    async def test_who_was_asked_to_drain_hears_it_with_every_heartbeat(
        self, store: Store, worker: WorkerId, path: str
    ) -> None:
        slots = {Lane("echo"): 2}
        async with store.begin() as tx:
            assert not await tx.see_worker(worker, slots, path=path)
            assert await tx.ask_drain(worker, drain=True)
        async with store.begin() as tx:
            heard = [await tx.see_worker(worker, slots, path=path) for _ in range(2)]
            alive = await tx.workers(seen_after=await tx.now() - SOON)

        assert heard == [True, True]
        (found,) = [each for each in alive if each.id == worker]
        assert isinstance(found, WorkerRecord)
        assert (found.draining, found.room(Lane("echo"))) == (True, 0)

        async with store.begin() as tx:
            assert await tx.ask_drain(worker, drain=False)
            assert not await tx.see_worker(worker, slots, path=path)

    async def test_asking_twice_changes_nothing(self, store: Store, worker: WorkerId) -> None:
        async with store.begin() as tx:
            await tx.see_worker(worker, {}, path="local")
            await tx.ask_drain(worker, drain=True)
            (first,) = [each for each in await tx.fleet(limit=1000) if each.id == worker]
        async with store.begin() as tx:
            await tx.ask_drain(worker, drain=True)
            (second,) = [each for each in await tx.fleet(limit=1000) if each.id == worker]

        assert first.drain_asked_at is not None
        assert first.drain_asked_at == second.drain_asked_at

    async def test_whom_nobody_knows_cannot_be_asked(self, store: Store, worker: WorkerId) -> None:
        async with store.begin() as tx:
            assert not await tx.ask_drain(worker, drain=True)

    async def test_what_a_worker_says_of_itself_is_kept_until_it_says_more(
        self, store: Store, worker: WorkerId
    ) -> None:
        said = Vitals(
            memory_bytes=1 << 31,
            gpus=[Gpu("H100", 0.5, 1, 2)],
            hears={"echo": Hearing(1, 0.25)},
            order_s=3.5,
        )
        async with store.begin() as tx:
            await tx.see_worker(worker, {}, path="local", vitals=said)
        async with store.begin() as tx:
            await tx.see_worker(worker, {}, path="local")  # a hello, which says nothing of it
            (found,) = [each for each in await tx.fleet(limit=1000) if each.id == worker]

        assert found.vitals == said

    async def test_what_workers_hold_is_told_with_when_its_attempt_began(
        self, store: Store, new: Any, path: str
    ) -> None:
        job, _ = await put(store, new(), new())
        granted = await grant(store, job)
        async with store.begin() as tx:
            await tx.open_attempts([granted])
            began = (await tx.attempts(job.id))[0].started_at

        async with store.begin() as tx:
            (held,) = [each for each in await tx.held(limit=1000) if each.path == path]

        assert (held.job, held.worker, held.attempt) == (job.id, granted.worker, 1)
        assert held.started_at == began


class Operating(Searching, Changing, Looking, Draining):
    """All of it."""
