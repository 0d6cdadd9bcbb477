"""What clients ask of runs: an end, a stage again, more work, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from headrace.contracts.ids import JobId, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.errors import (
    BadPipeline,
    InvalidInput,
    RunNotFound,
    RunNotReady,
    StageNotFound,
    UnknownPipeline,
)
from headrace.core.job import State
from headrace.core.pipeline import Fixed, Given, Item, Many, Of, Plain
from headrace.core.ports.store import Store
from headrace.core.run import RunState
from headrace.core.usecases.cancel import honour_cancels
from headrace.core.usecases.follow import RUN_LABEL, STAGE_LABEL
from headrace.core.usecases.retry import retry
from headrace.core.usecases.runs import (
    Addition,
    add_work,
    cancel_run,
    find_run,
    retry_stage,
    stop_runs,
)
from headrace.testkit.builders import a_job_id, a_pipeline, a_stage
from headrace.testkit.deciding import (
    ECHO,
    PATH,
    put,
    read,
)
from headrace.testkit.running_runs import (
    CHAIN,
    FAN,
    PICTURES,
    TENANT,
    anything,
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


async def test_a_cancelled_run_begins_nothing_more_and_its_jobs_end(store: Store) -> None:
    run = await begin(store, CHAIN)
    async with store.begin() as tx:
        assert (await cancel_run(tx, TENANT, run.id)).state is RunState.CANCELLING
        assert (await cancel_run(tx, TENANT, run.id)).state is RunState.CANCELLING

    assert len(await stop_runs(store, path=PATH, limit=10)) == 1
    await honour_cancels(store, path=PATH, limit=10)

    after, _ = await look(store, run)
    assert after.state is RunState.CANCELLED
    assert [job.state for job in await jobs_of(store, run)] == [State.CANCELLED]
    async with store.begin() as tx:
        assert (await cancel_run(tx, TENANT, run.id)).state is RunState.CANCELLED


async def test_a_failed_stage_is_retried_alone_and_the_rest_is_kept(store: Store) -> None:
    run = await begin(store, CHAIN)
    await succeed(store, await job_of(store, run, "first"))
    kept = await job_of(store, run, "first")
    wrong = await job_of(store, run, "next")
    await fail(store, wrong)

    async with store.begin() as tx:
        again = await retry_stage(tx, TENANT, run.id, "next")
    new = await job_of(store, run, "next")
    await succeed(store, new)

    after, _ = await look(store, run)
    assert (again.state, again.error) == (RunState.RUNNING, None)
    assert after.state is RunState.SUCCEEDED
    assert {job.id for job in await jobs_of(store, run)} == {kept.id, wrong.id, new.id}


async def test_a_stage_of_a_cancelled_run_goes_on_where_it_was_stopped(store: Store) -> None:
    run = await begin(store, FAN)
    await succeed(store, await job_of(store, run, "fan", 0))
    async with store.begin() as tx:
        await cancel_run(tx, TENANT, run.id)
    await stop_runs(store, path=PATH, limit=10)
    await honour_cancels(store, path=PATH, limit=10)

    async with store.begin() as tx:
        again = await retry_stage(tx, TENANT, run.id, "fan")

    _, pieces = await look(store, run)
    assert again.state is RunState.RUNNING
    assert [(it.state, it.tries) for it in pieces.values()] == [("succeeded", 1), ("running", 2)]


async def test_what_went_well_or_still_goes_is_not_retried(store: Store) -> None:
    run = await begin(store, a_pipeline(a_stage()))
    async with store.begin() as tx:
        with pytest.raises(RunNotReady, match="is running"):
            await retry_stage(tx, TENANT, run.id, "first")
        with pytest.raises(StageNotFound):
            await retry_stage(tx, TENANT, run.id, "other")
    await succeed(store, await job_of(store, run, "first"))

    async with store.begin() as tx:
        with pytest.raises(RunNotReady, match="nothing in stage 'first' that went wrong"):
            await retry_stage(tx, TENANT, run.id, "first")


async def test_work_is_added_to_a_run_that_is_over(store: Store) -> None:
    run = await begin(store, PICTURES)
    for stage in ("first", "crop"):
        output = {"image": {"blob": f"of-{stage}"}}
        await succeed(store, await job_of(store, run, stage), output=output)
    addition = Addition(name="crop", kind="echo", gives={"image": Plain.BLOB}, input={"by": 2})

    async with store.begin() as tx:
        again, name = await add_work(tx, TENANT, run.id, addition, check=anything)
    job = await job_of(store, run, name)
    await succeed(store, job)
    async with store.begin() as tx:
        _, of_first = await add_work(
            tx, TENANT, run.id, replace(addition, of="first"), check=anything
        )

    assert (again.state, name, of_first) == (RunState.RUNNING, "crop-2", "crop-3")
    assert job.spec.input == {"by": 2, "image": {"blob": "of-crop"}}
    assert (await job_of(store, run, "crop-3")).spec.input["image"] == {"blob": "of-first"}


async def test_work_is_added_to_every_picture_of_a_fan_out(store: Store) -> None:
    run = await begin(
        store,
        a_pipeline(
            a_stage(
                "fan", each=Given("texts"), gives={"image": Plain.BLOB}, input={"text": Item()}
            ),
            takes={"texts": Many(Plain.TEXT)},
        ),
    )
    for index in (0, 1):
        output = {"image": {"blob": f"of-{index}"}}
        await succeed(store, await job_of(store, run, "fan", index), output=output)

    async with store.begin() as tx:
        addition = Addition(name="caption", kind="echo", gives={"caption": Plain.TEXT})
        _, name = await add_work(tx, TENANT, run.id, addition, check=anything)

    inputs = [(await job_of(store, run, name, index)).spec.input for index in (0, 1)]
    assert inputs == [{"image": {"blob": "of-0"}}, {"image": {"blob": "of-1"}}]


async def test_work_that_cannot_be_done_is_refused(store: Store) -> None:
    run = await begin(store, a_pipeline(a_stage()))
    caption = Addition(name="caption", kind="echo", gives={})
    async with store.begin() as tx:
        with pytest.raises(RunNotReady, match="is running"):
            await add_work(tx, TENANT, run.id, caption, check=anything)
    await succeed(store, await job_of(store, run, "first"))

    async with store.begin() as tx:
        with pytest.raises(RunNotReady, match="no stage that gave a picture"):
            await add_work(tx, TENANT, run.id, caption, check=anything)
        with pytest.raises(StageNotFound):
            await add_work(tx, TENANT, run.id, replace(caption, of="gone"), check=anything)
    pictures = await begin(store, a_pipeline(a_stage(gives={"image": Plain.BLOB})))
    await succeed(store, await job_of(store, pictures, "first"), output={"image": {"blob": "b"}})
    async with store.begin() as tx:
        with pytest.raises(BadPipeline, match="no engine runs kind 'gone'"):
            await add_work(tx, TENANT, pictures.id, replace(caption, kind="gone"), check=anything)


async def test_what_nobody_can_run_is_refused_before_anything_is_kept(store: Store) -> None:
    with pytest.raises(UnknownPipeline):
        await begin(store, a_pipeline(a_stage(), name="other"))
    with pytest.raises(InvalidInput):
        await begin(store, CHAIN, input={})
    with pytest.raises(BadPipeline) as refused:
        await begin(store, a_pipeline(a_stage(), a_stage("next", kind="video")))

    assert refused.value.stage == "next"
    async with store.begin() as tx:
        assert await tx.page_runs(TENANT, before=None, limit=10) == []


async def test_another_tenants_run_is_no_run(store: Store) -> None:
    run = await begin(store, CHAIN)
    async with store.begin() as tx:
        for use in (find_run, cancel_run):
            with pytest.raises(RunNotFound):
                await use(tx, TenantId("another"), run.id)


async def test_a_job_that_only_says_it_is_of_a_run_moves_nothing(store: Store) -> None:
    run = await begin(store, CHAIN)
    forged = await put(store, labels={RUN_LABEL: run.id, STAGE_LABEL: "first"})
    foreign = await put(store, tenant=TenantId("b"), labels={RUN_LABEL: run.id})
    nowhere = await put(store, labels={RUN_LABEL: "no run's id"})

    await succeed(store, forged, foreign, nowhere)

    _, pieces = await look(store, run)
    assert [(key, piece.state) for key, piece in pieces.items()] == [(("first", 0), "running")]


async def test_a_job_of_a_run_retried_by_itself_is_not_the_runs_any_more(store: Store) -> None:
    run = await begin(store, CHAIN)
    await fail(store, await job_of(store, run, "first"))
    before = await look(store, run)

    async with store.begin() as tx:
        job = JobId(before[1]["first", 0].job or "")
        again = await retry(tx, TENANT, job, new_id=a_job_id, trace=None)
    await succeed(store, again)

    assert await look(store, run) == before


async def test_a_run_that_nobody_can_plan_fails_and_holds_up_nobody_else(store: Store) -> None:
    run, other = await begin(store, CHAIN), await put(store)
    job = await job_of(store, run, "first")
    ring = a_stage("ring", input={"text": Of("ring", "text")})
    async with store.begin() as tx:
        await tx.save_run(replace(run, stages=(*run.stages, ring)))

    await succeed(store, job, other)

    after, _ = await look(store, run)
    assert after.state is RunState.FAILED
    assert (await read(store, other.id)).state is State.SUCCEEDED


async def test_constants_of_a_stage_are_given_as_they_are(store: Store) -> None:
    run = await begin(store, a_pipeline(a_stage(input={"text": Fixed("always"), "n": Fixed(3)})))

    assert (await job_of(store, run, "first")).spec.input == {"text": "always", "n": 3}


async def test_an_input_that_the_first_engine_refuses_is_refused_at_the_door_and_where(
    store: Store,
) -> None:
    def refuse(card: EngineCard, given: Mapping[str, Any]) -> None:
        if given["text"] != "a":
            raise InvalidInput("/text", "no")

    with pytest.raises(InvalidInput) as one:
        await begin(store, CHAIN, refuse)
    with pytest.raises(InvalidInput) as of_many:
        await begin(store, FAN, refuse)

    assert (one.value.pointer, of_many.value.pointer) == ("/text", "/texts/1")
