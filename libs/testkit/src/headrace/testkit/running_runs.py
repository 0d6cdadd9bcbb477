"""Runs in a store, step by step: begun, looked at, and their jobs ended as a test has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.contracts.ids import TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.job import Job
from headrace.core.pipeline import Given, Item, Many, Of, Pipeline, Plain
from headrace.core.ports.store import Query, Store
from headrace.core.run import Piece, Run
from headrace.core.usecases.follow import RUN_LABEL
from headrace.core.usecases.record import record
from headrace.core.usecases.runs import Beginning, RunRequest, begin_run, find_run
from headrace.core.usecases.submit import Check
from headrace.testkit.builders import a_job_id, a_pipeline, a_stage
from headrace.testkit.deciding import ANY, PATH, POLICY, a_failure, a_result, read, taken

TENANT: Final = TenantId("tenant")
CHAIN: Final = a_pipeline(a_stage(), a_stage("next", input={"text": Of("first", "text")}))
FAN: Final = a_pipeline(
    a_stage("fan", each=Given("texts"), input={"text": Item()}),
    a_stage("join", input={"texts": Of("fan", "text")}),
    takes={"texts": Many(Plain.TEXT)},
)
PICTURES: Final = a_pipeline(
    a_stage(gives={"image": Plain.BLOB}),
    a_stage("crop", input={"image": Of("first", "image")}, gives={"image": Plain.BLOB}),
)


def anything(card: EngineCard, given: Mapping[str, Any]) -> None:
    """Fits."""


async def begin(store: Store, pipeline: Pipeline, check: Check = anything, **fields: Any) -> Run:
    given = {"texts": ["a", "b"]} if "texts" in pipeline.takes else {"text": "hello"}
    request = RunRequest(**{"tenant": TENANT, "pipeline": "test", "input": given, **fields})
    async with store.begin() as tx:
        return await begin_run(tx, request, beginning(pipeline, check=check))


def beginning(*pipelines: Pipeline, check: Check = anything) -> Beginning:
    return Beginning(
        pipelines={each.name: each for each in pipelines},
        path=lambda _: PATH,
        new_id=a_job_id,
        check=check,
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
