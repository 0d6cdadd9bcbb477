"""A schedule may begin runs: one for each of its times, whoever looks, under the caps that jobs are under."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from headrace.contracts.ids import BlobId, TenantId
from headrace.core.errors import (
    BadPipeline,
    HeadraceError,
    InvalidInput,
    RunNotFound,
    ScheduleNotFound,
    UnknownPipeline,
)
from headrace.core.pipeline import Many, Pipeline, Plain
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.schedules import Fire, Schedule
from headrace.core.ports.store import Store
from headrace.core.run import Run, RunState
from headrace.core.usecases import runs
from headrace.core.usecases.admit import Admission, Caps
from headrace.core.usecases.schedules import (
    LABEL,
    Fired,
    Firing,
    Makers,
    Missed,
    Recurrence,
    create_schedule,
    fire_due,
    pause_schedule,
    resume_schedule,
    run_now,
)
from headrace.testkit.builders import a_job_id, a_pipeline, a_schedule, a_stage
from headrace.testkit.deciding import ECHO, PATH, outbox
from headrace.testkit.running_runs import CHAIN, FAN, TENANT, anything, jobs_of, look, succeed

TRACE: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ASKED: Final = {"pipeline": "test", "input": {"text": "hello"}}
OF_BLOBS: Final = a_pipeline(a_stage(), takes={"text": Plain.TEXT, "pictures": Many(Plain.BLOB)})
PICTURE: Final = BlobRef(TENANT, BlobId("picture"))
NO_ENGINE: Final = a_pipeline(a_stage(kind="video", model=None, lane=None))


def on_path(tenant: TenantId, kind: str) -> str:
    return PATH


def makers(*pipelines: Pipeline) -> Makers:
    known = {each.name: each for each in pipelines or (CHAIN,)}
    return Makers(a_job_id, anything, new_trace=lambda: TRACE, pipelines=known)


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])


async def now(store: Store) -> datetime:
    async with store.begin() as tx:
        return await tx.now()


async def keep(store: Store, *, ago: timedelta = timedelta(seconds=5), **fields: Any) -> Schedule:
    usual = {"cron": "* * * * *", "job": None, "run": ASKED, "next_at": await now(store) - ago}
    async with store.begin() as tx:
        return await tx.insert_schedule(a_schedule(**{**usual, **fields}))


async def fire(
    store: Store, *pipelines: Pipeline, missed: Missed = "once", caps: Caps | None = None
) -> Fired:
    admission = Admission(caps or Caps())
    firing = Firing(missed=missed, makers=makers(*pipelines), admission=admission)
    return await fire_due(store, firing, path=PATH, limit=10)


async def again(store: Store, schedule: Schedule) -> tuple[Schedule, list[Fire]]:
    async with store.begin() as tx:
        found = await tx.schedule(schedule.tenant, schedule.id)
        assert found is not None
        return found, await tx.fires(schedule.id, limit=10)


async def all_runs(store: Store) -> list[Run]:
    async with store.begin() as tx:
        return await tx.page_runs(TENANT, before=None, limit=10)


async def create(store: Store, run: dict[str, Any], *pipelines: Pipeline) -> Schedule:
    asked = Recurrence(tenant=TENANT, cron="0 6 * * *", timezone="Europe/Berlin", run=run)
    async with store.begin() as tx:
        return await create_schedule(tx, asked, replace(makers(*pipelines), choose=on_path))


async def test_a_new_schedule_of_runs_is_kept_and_begins_nothing_yet(store: Store) -> None:
    made = await create(store, ASKED)

    assert (made.job, made.run, made.path) == (None, ASKED, PATH)
    assert made.next_at is not None
    assert made.next_at > await now(store)
    assert (await again(store, made))[0] == made
    assert (await all_runs(store), await outbox(store)) == ([], [])


@pytest.mark.parametrize(
    ("run", "pipeline", "error"),
    [
        ({"pipeline": "nobody's", "input": {}}, CHAIN, UnknownPipeline),
        ({"pipeline": "test", "input": {}}, CHAIN, InvalidInput),
        ({"pipeline": "test", "input": {"text": "x" * 60_000}}, CHAIN, InvalidInput),
        (ASKED, NO_ENGINE, BadPipeline),
    ],
)
async def test_what_could_not_begin_is_refused_at_once(
    store: Store, run: dict[str, Any], pipeline: Pipeline, error: type[HeadraceError]
) -> None:
    with pytest.raises(error):
        await create(store, run, pipeline)

    async with store.begin() as tx:
        assert await tx.schedules(TENANT, before=None, limit=10) == []


async def test_what_its_input_names_stays_while_there_is_the_schedule(store: Store) -> None:
    given = {"text": "hello", "pictures": [{"blob": "picture"}]}
    made = await create(store, {"pipeline": "test", "input": given}, OF_BLOBS)

    async with store.begin() as tx:
        while_there = await tx.unused([PICTURE])
        await tx.delete_schedule(TENANT, made.id)
        afterwards = await tx.unused([PICTURE])

    assert (while_there, afterwards) == ([], [PICTURE])


async def test_a_schedule_that_is_due_begins_a_run_and_moves_on(store: Store) -> None:
    run_of = {**ASKED, "priority": 7, "labels": {"team": "red"}}
    kept = await keep(store, run=run_of)

    fired = await fire(store)

    (run,) = fired.runs
    after, fires = await again(store, kept)
    (job,) = await jobs_of(store, run)
    assert (run.pipeline, run.state, run.trace) == ("test", RunState.RUNNING, TRACE)
    assert run.labels == {"team": "red", LABEL: kept.id}
    assert (job.spec.priority, job.spec.labels[LABEL]) == (7, kept.id)
    assert [row.job for row in await outbox(store)] == [job.id]
    assert [(each.fire_at, each.job, each.run) for each in fires] == [(kept.next_at, None, run.id)]
    assert after.next_at is not None
    assert after.next_at > await now(store)
    assert (after.last_at, after.last_error) == (kept.next_at, None)
    assert (await fire(store)).runs == []


async def test_a_time_that_has_fired_does_not_fire_again(store: Store) -> None:
    """The row of the fire decides, even if the schedule's own had been put back."""
    kept = await keep(store)
    await fire(store)
    async with store.begin() as tx:
        await tx.save_schedules([kept])

    fired = await fire(store)

    assert fired.runs == []
    assert len(await all_runs(store)) == 1
    assert len(await outbox(store)) == 1


async def test_the_run_of_a_time_goes_on_like_any_other(store: Store) -> None:
    await keep(store)
    (run,) = (await fire(store)).runs

    for _ in ("first", "next"):
        await succeed(store, (await jobs_of(store, run))[-1])

    assert (await look(store, run))[0].state is RunState.SUCCEEDED


async def test_what_was_missed_may_be_made_up_by_one_run_or_by_none(store: Store) -> None:
    kept = await keep(store, ago=timedelta(days=3))
    skipped = await fire(store, missed="skip")
    async with store.begin() as tx:
        await tx.save_schedules([kept])

    made_up = await fire(store, missed="once")

    assert (skipped.runs, skipped.skipped) == ([], 1)
    assert len(made_up.runs) == 1
    assert (await fire(store)).runs == []


@pytest.mark.parametrize(
    ("run", "pipeline", "why"),
    [
        ({"pipeline": "gone", "input": {}}, CHAIN, "no pipeline 'gone'; known: test"),
        (ASKED, NO_ENGINE, "no engine runs kind 'video'"),
        ({"pipeline": "test", "input": {"words": "a"}}, CHAIN, "text"),
    ],
)
async def test_a_schedule_whose_pipeline_has_changed_says_so_and_delays_nobody(
    store: Store, run: dict[str, Any], pipeline: Pipeline, why: str
) -> None:
    broken = await keep(store, run=run)
    fine = await keep(store, run=None, job={"kind": "echo", "input": {}})

    fired = await fire(store, pipeline)

    after, fires = await again(store, broken)
    assert fired.runs == []
    assert [job.spec.labels[LABEL] for job in fired.jobs] == [fine.id]
    assert after.last_error is not None
    assert why in after.last_error
    assert [each.error for each in fires] == [after.last_error]
    assert after.next_at is not None
    assert after.next_at > await now(store)


async def test_a_run_that_would_begin_more_jobs_than_there_is_room_for_is_skipped(
    store: Store,
) -> None:
    two = {"pipeline": "test", "input": {"texts": ["a", "b"]}}
    kept = await keep(store, run=two)

    fired = await fire(store, FAN, caps=Caps(per_tenant=1))

    (refused,) = fired.refused
    after, _ = await again(store, kept)
    assert (fired.runs, refused.schedule) == ([], kept.id)
    assert after.last_error is not None
    assert after.last_error.startswith("skipped: this tenant has its 1 jobs waiting")
    assert (await all_runs(store), await outbox(store)) == ([], [])


async def test_the_jobs_of_a_run_count_for_the_schedules_after_it(store: Store) -> None:
    two = {"pipeline": "test", "input": {"texts": ["a", "b"]}}
    first = await keep(store, run=two, ago=timedelta(seconds=9))
    second = await keep(store, run=two)

    fired = await fire(store, FAN, caps=Caps(per_tenant=3))

    assert [run.labels[LABEL] for run in fired.runs] == [first.id]
    assert [each.schedule for each in fired.refused] == [second.id]


async def test_a_paused_schedule_begins_nothing_and_goes_on_from_when_it_is_resumed(
    store: Store,
) -> None:
    kept = await keep(store, ago=timedelta(days=1))
    async with store.begin() as tx:
        await pause_schedule(tx, TENANT, kept.id)
    while_paused = await fire(store)
    async with store.begin() as tx:
        resumed = await resume_schedule(tx, TENANT, kept.id)

    afterwards = await fire(store)

    assert (while_paused.runs, afterwards.runs) == ([], [])
    assert resumed.next_at is not None
    assert resumed.next_at > await now(store)


async def test_run_now_begins_a_run_beside_those_of_its_times(store: Store) -> None:
    kept = await keep(store, ago=-timedelta(days=1))

    async with store.begin() as tx:
        run = await run_now(tx, TENANT, kept.id, makers=makers(), trace=TRACE)

    after, fires = await again(store, kept)
    assert isinstance(run, Run)
    assert (run.labels, run.trace) == ({LABEL: kept.id}, TRACE)
    assert after.next_at == kept.next_at
    assert [each.run for each in fires] == [run.id]
    assert len(await jobs_of(store, run)) == 1


async def test_nobody_begins_a_run_with_the_schedule_of_another_tenant(store: Store) -> None:
    kept = await keep(store)

    with pytest.raises(ScheduleNotFound):
        async with store.begin() as tx:
            await run_now(tx, TenantId("another"), kept.id, makers=makers(), trace=None)

    (run,) = (await fire(store)).runs
    with pytest.raises(RunNotFound):
        async with store.begin() as tx:
            await runs.find_run(tx, TenantId("another"), run.id)


async def test_what_a_newer_build_wrote_into_a_schedule_is_left_to_it(store: Store) -> None:
    await keep(store, run={**ASKED, "from_the_future": True})

    assert len((await fire(store)).runs) == 1
