"""A run goes on in the transaction in which a job of it ends, whoever ends it, and however often it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from headrace.contracts.ids import TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.job import Job, State
from headrace.core.pipeline import Given, Item, Many, Of, Pipeline, Plain
from headrace.core.ports.store import Query, Store
from headrace.core.retry import RetryPolicy
from headrace.core.run import Piece, PieceState, Run, RunState
from headrace.core.usecases.cancel import ask_cancel, honour_cancels
from headrace.core.usecases.follow import RUN_LABEL, STAGE_LABEL
from headrace.core.usecases.record import record
from headrace.core.usecases.runs import (
    RunRequest,
    begin_run,
    find_run,
    stop_runs,
)
from headrace.core.usecases.submit import Check
from headrace.core.usecases.sweep import sweep
from headrace.testkit.builders import a_job_id, a_pipeline, a_stage
from headrace.testkit.deciding import (
    ANY,
    ECHO,
    OVER,
    PATH,
    POLICY,
    a_failure,
    a_result,
    outbox,
    read,
    taken,
)

TENANT = TenantId("tenant")
CHAIN = a_pipeline(a_stage(), a_stage("next", input={"text": Of("first", "text")}))
FAN = a_pipeline(
    a_stage("fan", each=Given("texts"), input={"text": Item()}),
    a_stage("join", input={"texts": Of("fan", "text")}),
    takes={"texts": Many(Plain.TEXT)},
)
PICTURES = a_pipeline(
    a_stage(gives={"image": Plain.BLOB}),
    a_stage("crop", input={"image": Of("first", "image")}, gives={"image": Plain.BLOB}),
)


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])


def anything(card: EngineCard, given: Mapping[str, Any]) -> None:
    """Fits."""


async def begin(store: Store, pipeline: Pipeline, check: Check = anything, **fields: Any) -> Run:
    given = {"texts": ["a", "b"]} if "texts" in pipeline.takes else {"text": "hello"}
    request = RunRequest(**{"tenant": TENANT, "pipeline": "test", "input": given, **fields})
    async with store.begin() as tx:
        pipelines = {pipeline.name: pipeline}
        return await begin_run(
            tx, request, pipelines, path=lambda _: PATH, new_id=a_job_id, check=check
        )


async def look(store: Store, run: Run) -> tuple[Run, dict[tuple[str, int], Piece]]:
    async with store.begin() as tx:
        found = await find_run(tx, TENANT, run.id)
        pieces = await tx.pieces(run.id)
    return found, {(piece.stage, piece.index): piece for piece in pieces}


async def jobs_of(store: Store, run: Run) -> list[Job]:
    """Of a run, oldest first."""
    async with store.begin() as tx:
        found = await tx.page(TENANT, Query(label=(RUN_LABEL, run.id)))
    return found[::-1]


async def job_of(store: Store, run: Run, stage: str, index: int = 0) -> Job:
    _, pieces = await look(store, run)
    job = pieces[stage, index].job
    assert job is not None
    return await read(store, job)


async def succeed(store: Store, *jobs: Job, output: dict[str, Any] | None = None) -> None:
    results = [a_result(job, output=output or job.spec.input) for job in await taken(store, *jobs)]
    await record(store, results, policy=POLICY, random=ANY)


async def fail(store: Store, job: Job) -> None:
    (held,) = await taken(store, job)
    await record(store, [a_failure(held, "input")], policy=POLICY, random=ANY)


async def test_a_run_begins_with_the_jobs_of_its_first_stages(store: Store) -> None:
    run = await begin(store, CHAIN, trace="00-1-2-01", priority=4, labels={"who": "me"})

    (job,) = await jobs_of(store, run)
    assert run.state is RunState.RUNNING
    assert (job.spec.kind, job.spec.model, job.lane, job.spec.priority) == (
        "echo",
        "small",
        "echo",
        4,
    )
    assert job.spec.input == {"text": "hello"}
    assert job.spec.labels == {"who": "me", RUN_LABEL: run.id, STAGE_LABEL: "first"}
    assert job.trace == "00-1-2-01"
    assert [row.job for row in await outbox(store)] == [job.id]


async def test_a_stages_output_is_the_next_ones_input_and_the_last_one_ends_the_run(
    store: Store,
) -> None:
    run = await begin(store, CHAIN)

    await succeed(store, await job_of(store, run, "first"), output={"text": "echoed"})
    second = await job_of(store, run, "next")
    assert second.spec.input == {"text": "echoed"}
    assert [row.job for row in await outbox(store)] == [second.id]
    await succeed(store, second)

    after, pieces = await look(store, run)
    assert after.state is RunState.SUCCEEDED
    assert after.finished_at is not None
    assert pieces["next", 0].output == {"text": "echoed"}


async def test_a_result_that_comes_twice_begins_nothing_twice(store: Store) -> None:
    run = await begin(store, CHAIN)
    (held,) = await taken(store, await job_of(store, run, "first"))
    result = a_result(held, output={"text": "x"})

    for results in ([result, result], [result]):
        await record(store, results, policy=POLICY, random=ANY)

    assert len(await jobs_of(store, run)) == 2


async def test_what_is_rolled_back_has_begun_nothing_and_is_done_again_with_the_same_jobs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await begin(store, CHAIN)
    (held,) = await taken(store, await job_of(store, run, "first"))
    result = a_result(held, output={"text": "x"})
    with monkeypatch.context() as patch:
        patch.setattr("headrace.core.usecases.record.letters_of", _killed)
        with pytest.raises(RuntimeError):
            await record(store, [result], policy=POLICY, random=ANY)
    assert (await read(store, held.id)).state is State.RUNNING
    assert len(await jobs_of(store, run)) == 1

    await record(store, [result], policy=POLICY, random=ANY)

    assert len(await jobs_of(store, run)) == 2


def _killed(jobs: Sequence[Job]) -> list[Any]:
    raise RuntimeError("killed here")


async def test_pieces_of_a_fan_out_are_joined_in_order_whoever_ends_first(store: Store) -> None:
    run = await begin(store, FAN)

    await succeed(store, await job_of(store, run, "fan", 1))
    assert set((await look(store, run))[1]) == {("fan", 0), ("fan", 1)}
    await succeed(store, await job_of(store, run, "fan", 0))

    assert (await job_of(store, run, "join")).spec.input == {"texts": ["a", "b"]}


async def test_two_pieces_that_end_in_one_message_begin_the_join_once(store: Store) -> None:
    run = await begin(store, FAN)

    await succeed(store, *(await jobs_of(store, run)))

    stages = [job.spec.labels[STAGE_LABEL] for job in await jobs_of(store, run)]
    assert sorted(stages) == ["fan", "fan", "join"]


async def test_a_stage_that_fails_stops_the_others_and_ends_the_run(store: Store) -> None:
    run = await begin(store, FAN)
    await fail(store, await job_of(store, run, "fan", 0))
    failing, _ = await look(store, run)

    await stop_runs(store, path=PATH, limit=10)
    await honour_cancels(store, path=PATH, limit=10)

    after, pieces = await look(store, run)
    assert (failing.state, after.state) == (RunState.FAILING, RunState.FAILED)
    assert after.error is not None
    assert (after.error["stage"], after.error["index"]) == ("fan", 0)
    assert pieces["fan", 1].state is PieceState.STOPPED


async def test_a_stage_has_as_many_tries_as_it_says_each_a_job_of_its_own(store: Store) -> None:
    run = await begin(store, a_pipeline(a_stage(tries=2)))

    await fail(store, await job_of(store, run, "first"))
    again = await job_of(store, run, "first")
    await succeed(store, again)

    after, pieces = await look(store, run)
    assert after.state is RunState.SUCCEEDED
    assert pieces["first", 0].tries == 2
    assert len(await jobs_of(store, run)) == 2


async def test_a_dead_job_of_a_branch_that_may_fail_leaves_the_run_going(store: Store) -> None:
    pipeline = a_pipeline(a_stage(), a_stage("maybe", on_failure="go_on"))
    run = await begin(store, pipeline)
    (held,) = await taken(store, await job_of(store, run, "maybe"), lease=OVER)

    await sweep(store, path=PATH, policy=RetryPolicy(losses=0), limit=10)
    assert (await read(store, held.id)).state is State.DEAD
    await succeed(store, await job_of(store, run, "first"))

    after, pieces = await look(store, run)
    assert after.state is RunState.SUCCEEDED
    assert pieces["maybe", 0].state is PieceState.DEAD


async def test_a_job_of_a_run_that_somebody_cancels_ends_its_stage(store: Store) -> None:
    run = await begin(store, CHAIN)
    await ask_cancel(store, TENANT, (await job_of(store, run, "first")).id)

    await honour_cancels(store, path=PATH, limit=10)

    after, pieces = await look(store, run)
    assert after.state is RunState.FAILED
    assert pieces["first", 0].state is PieceState.CANCELLED


async def test_a_start_that_comes_too_late_fails_the_stage(store: Store) -> None:
    run = await begin(store, a_pipeline(a_stage(start_within_s=1e-6)))

    await sweep(store, path=PATH, policy=POLICY, limit=10)

    after, _ = await look(store, run)
    assert after.state is RunState.FAILED
    assert after.error is not None
    assert after.error["kind"] == "deadline"
