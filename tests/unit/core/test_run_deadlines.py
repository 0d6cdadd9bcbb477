"""A run that is not over in time begins nothing more, is stopped, and says why."""

from __future__ import annotations

from datetime import timedelta

import pytest

from headrace.core.errors import BadPipeline
from headrace.core.job import State
from headrace.core.pipeline import Given, Item, Many, Plain, check_pipeline
from headrace.core.ports.store import Store
from headrace.core.run import PieceState, Run, RunState
from headrace.core.usecases.cancel import honour_cancels
from headrace.core.usecases.runs import expire_runs, retry_stage, stop_runs
from headrace.testkit.builders import a_pipeline, a_stage
from headrace.testkit.deciding import ECHO, PATH
from headrace.testkit.running_runs import (
    CHAIN,
    FAN,
    TENANT,
    begin,
    fail,
    job_of,
    jobs_of,
    look,
    succeed,
)

AT_ONCE = 1e-6
AN_HOUR = 3600.0


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])


async def test_what_waits_and_what_runs_of_an_overdue_run_is_stopped_and_nothing_more_begins(
    store: Store,
) -> None:
    run = await begin(store, CHAIN, deadline_s=AT_ONCE)

    (failing,) = await expire_runs(store, path=PATH, limit=10)
    await stop_all(store)

    after, pieces = await look(store, run)
    assert (failing.state, after.state) == (RunState.FAILING, RunState.FAILED)
    assert after.error == {"kind": "deadline", "message": "it was not over within 1e-06 s"}
    assert {key: piece.state for key, piece in pieces.items()} == {("first", 0): PieceState.STOPPED}
    assert [job.state for job in await jobs_of(store, run)] == [State.CANCELLED]


async def test_no_stage_begins_after_the_deadline_whoever_looks_first(store: Store) -> None:
    run = await begin(store, CHAIN, deadline_s=AT_ONCE)

    await succeed(store, await job_of(store, run, "first"))

    after, pieces = await look(store, run)
    assert after.state is RunState.FAILED
    assert (after.error or {})["kind"] == "deadline"
    assert list(pieces) == [("first", 0)]


async def test_what_was_done_at_the_last_moment_is_not_thrown_away(store: Store) -> None:
    run = await begin(store, a_pipeline(a_stage()), deadline_s=AT_ONCE)

    await succeed(store, await job_of(store, run, "first"))

    assert (await look(store, run))[0].state is RunState.SUCCEEDED
    assert await expire_runs(store, path=PATH, limit=10) == []


async def test_a_run_that_has_time_left_or_all_of_it_or_is_ending_is_left_alone(
    store: Store,
) -> None:
    await begin(store, CHAIN)
    await begin(store, CHAIN, deadline_s=AN_HOUR)
    ending = await begin(store, FAN, deadline_s=AT_ONCE)
    await fail(store, await job_of(store, ending, "fan", 0))
    error = (await look(store, ending))[0].error

    assert await expire_runs(store, path=PATH, limit=10) == []
    assert await expire_runs(store, path=f"{PATH}-other", limit=10) == []
    await stop_all(store)

    assert (await look(store, ending))[0].error == error


async def test_the_pipelines_deadline_holds_unless_the_run_says_another(store: Store) -> None:
    pipeline = a_pipeline(a_stage(), deadline_s=AN_HOUR)

    usual, own = await begin(store, pipeline), await begin(store, pipeline, deadline_s=5.0)

    assert time_for(usual) == timedelta(hours=1)
    assert time_for(own) == timedelta(seconds=5)
    assert (await begin(store, CHAIN)).deadline_at is None


async def test_a_run_that_goes_on_after_its_deadline_has_its_time_anew(store: Store) -> None:
    run = await begin(store, CHAIN, deadline_s=AN_HOUR)
    await fail(store, await job_of(store, run, "first"))

    async with store.begin() as tx:
        again = await retry_stage(tx, TENANT, run.id, "first")

    assert again.state is RunState.RUNNING
    assert again.deadline_at is not None
    assert run.deadline_at is not None
    assert again.deadline_at > run.deadline_at
    assert (await look(store, run))[0].deadline_at == again.deadline_at


async def test_an_overdue_run_can_be_retried_from_the_stage_that_was_stopped(store: Store) -> None:
    pipeline = a_pipeline(
        a_stage("fan", each=Given("texts"), input={"text": Item()}),
        takes={"texts": Many(Plain.TEXT)},
    )
    run = await begin(store, pipeline, deadline_s=AT_ONCE)
    await succeed(store, await job_of(store, run, "fan", 0))
    await expire_runs(store, path=PATH, limit=10)
    await stop_all(store)

    async with store.begin() as tx:
        await retry_stage(tx, TENANT, run.id, "fan")
    after, pieces = await look(store, run)

    assert {key: (it.state, it.tries) for key, it in pieces.items()} == {
        ("fan", 0): (PieceState.SUCCEEDED, 1),
        ("fan", 1): (PieceState.RUNNING, 2),
    }
    assert (after.state, after.error) == (RunState.RUNNING, None)


@pytest.mark.parametrize("within", [0.0, -1.0, float("inf"), float("nan"), 2_592_001.0])
def test_a_deadline_that_is_none_is_refused_with_its_pipeline(within: float) -> None:
    with pytest.raises(BadPipeline, match="deadline_s"):
        check_pipeline(a_pipeline(a_stage(), deadline_s=within))


async def stop_all(store: Store) -> None:
    await stop_runs(store, path=PATH, limit=10)
    await honour_cancels(store, path=PATH, limit=10)


def time_for(run: Run) -> timedelta:
    assert run.deadline_at is not None
    assert run.created_at is not None
    return timedelta(seconds=round((run.deadline_at - run.created_at).total_seconds(), 1))
