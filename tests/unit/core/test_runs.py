"""A run goes on in the transaction in which a job of it ends, whoever ends it, and however often it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from headrace.core.job import Job, State
from headrace.core.ports.store import Store
from headrace.core.retry import RetryPolicy
from headrace.core.run import PieceState, RunState
from headrace.core.usecases.cancel import ask_cancel, honour_cancels
from headrace.core.usecases.follow import RUN_LABEL, STAGE_LABEL
from headrace.core.usecases.record import record
from headrace.core.usecases.runs import (
    stop_runs,
)
from headrace.core.usecases.sweep import sweep
from headrace.testkit.builders import a_pipeline, a_stage
from headrace.testkit.deciding import (
    ANY,
    ECHO,
    OVER,
    PATH,
    POLICY,
    a_result,
    outbox,
    read,
    taken,
)
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


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([ECHO])


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
