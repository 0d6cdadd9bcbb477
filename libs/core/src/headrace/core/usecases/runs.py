"""What a client does about runs: begin one, end it, try a stage again, and add work to one that is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import Any, Final

from headrace.contracts.ids import JobId, KeyId, Lane, RunId, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.errors import (
    InvalidInput,
    RunNotFound,
    RunNotReady,
    StageNotFound,
    UnknownPipeline,
)
from headrace.core.pipeline import (
    MOST_STAGES,
    Fixed,
    Given,
    Item,
    Of,
    Pipeline,
    Plain,
    Stage,
    check_given,
)
from headrace.core.ports.store import Store, Transaction
from headrace.core.ports.upkeep import BlobUse
from headrace.core.run import (
    Piece,
    Run,
    RunState,
    StageState,
    Start,
    View,
    decide,
    expired,
    set_back,
)
from headrace.core.usecases.follow import step, weights_of_stages
from headrace.core.usecases.pipeline_fit import settled, settled_stage
from headrace.core.usecases.submit import Check, Submission, check_inline, named_blobs

_NOTHING_TO_DO: Final = frozenset({StageState.SUCCEEDED, StageState.SKIPPED})
PICTURE: Final = "image"  # the field that a refinement and a caption take, and a refinement gives


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    tenant: TenantId
    pipeline: str
    input: dict[str, Any]
    priority: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    api_key: KeyId | None = None
    trace: str | None = None
    deadline_s: float | None = None  # None: that of the pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """Work to add: of this kind, on the picture that a stage gave."""

    name: str  # of the new stage, to which a number is put where there is one already
    kind: str
    gives: Mapping[str, Plain]
    model: str | None = None
    of: str | None = None  # None: of the last stage that gave a picture
    input: Mapping[str, Any] = field(default_factory=dict)

    def asked(self, *, model: str | None, of: str | None, given: Mapping[str, Any]) -> Addition:
        return replace(self, model=model, of=of, input=given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What beginning a run takes."""

    pipelines: Mapping[str, Pipeline]
    path: Callable[[str], str]  # where one whose first stage is of this kind runs
    new_id: Callable[[], str]
    check: Check


async def begin_run(tx: Transaction, request: RunRequest, how: Beginning) -> Run:
    """Raises UnknownPipeline, BadPipeline, InvalidInput."""
    return await begin_planned(tx, (await plan_run(tx, request, how)).run)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that can begin, of which nothing is kept yet; `jobs` begin with it."""

    run: Run
    jobs: int


async def plan_run(tx: Transaction, request: RunRequest, how: Beginning) -> PlannedRun:
    """Raises UnknownPipeline, BadPipeline, InvalidInput."""
    pipeline = how.pipelines.get(request.pipeline)
    if pipeline is None:
        raise UnknownPipeline(request.pipeline, sorted(how.pipelines))
    check_given(pipeline, request.input)
    check_inline(Submission(tenant=request.tenant, kind=pipeline.name, input=request.input))
    named_blobs(request.input)
    catalog = await tx.catalog()
    stages = await settled(tx, request.tenant, pipeline, catalog)
    run = Run(
        id=RunId(how.new_id()),
        tenant=request.tenant,
        pipeline=pipeline.name,
        stages=stages,
        input=request.input,
        path=how.path(stages[0].kind),
        priority=request.priority,
        labels=request.labels,
        api_key=request.api_key,
        trace=request.trace,
        deadline_s=request.deadline_s or pipeline.deadline_s,
    )
    starts = decide(run, []).starts
    _check_starts(starts, catalog, how.check)
    return PlannedRun(run, len(starts))


async def begin_planned(tx: Transaction, run: Run) -> Run:
    named = [BlobUse(run.tenant, blob, run.id) for blob in named_blobs(run.input)]
    await tx.use_blobs(named + weights_of_stages(run.id, run.stages))
    return await step(tx, await tx.insert_run(run.going(await tx.now())))


async def find_run(tx: Transaction, tenant: TenantId, run: RunId) -> Run:
    """Raises RunNotFound."""
    found = await tx.find_run(tenant, run)
    if found is None:
        raise RunNotFound(run)
    return found


async def cancel_run(tx: Transaction, tenant: TenantId, run: RunId) -> Run:
    """Begin nothing more, and stop what runs; asking again changes nothing. Raises RunNotFound."""
    found = await _locked(tx, tenant, run)
    if found.state not in {RunState.RUNNING, RunState.FAILING}:
        return found
    return await step(tx, replace(found, state=RunState.CANCELLING))


async def retry_stage(tx: Transaction, tenant: TenantId, run: RunId, stage: str) -> Run:
    """Do again what went wrong of a stage, and what was made of it; all else stays.

    Raises RunNotFound, StageNotFound, RunNotReady.
    """
    found = await _locked(tx, tenant, run)
    if stage not in {each.name for each in found.stages}:
        raise StageNotFound(run, stage)
    if not found.over:
        raise RunNotReady(run, f"is {found.state}; a stage is retried when it is over")
    pieces = await tx.pieces(run)
    back = set_back(found, pieces, stage)
    if not back and View(found, pieces).states[stage] in _NOTHING_TO_DO:
        raise RunNotReady(run, f"has nothing in stage {stage!r} that went wrong")
    await tx.save_pieces(run, back)
    going_on = replace(found, state=RunState.RUNNING, error=None)
    return await step(tx, going_on.going(await tx.now()))


async def add_work(
    tx: Transaction, tenant: TenantId, run: RunId, addition: Addition, *, check: Check
) -> tuple[Run, str]:
    """The run, going on, and the name of its new stage.

    Raises RunNotFound, RunNotReady, StageNotFound, BadPipeline, InvalidInput.
    """
    found = await _locked(tx, tenant, run)
    if found.state is not RunState.SUCCEEDED:
        raise RunNotReady(run, f"is {found.state}; work is added to one that succeeded")
    if len(found.stages) >= MOST_STAGES:
        raise RunNotReady(run, f"has {MOST_STAGES} stages, which are the most")
    check_inline(Submission(tenant=tenant, kind=addition.kind, input=dict(addition.input)))
    named, pieces = named_blobs(dict(addition.input)), await tx.pieces(run)
    stage = _stage(found, pieces, addition)
    grown = Pipeline(name=found.pipeline, title="", takes={}, stages=(*found.stages, stage))
    catalog = await tx.catalog()
    ready = await settled_stage(tx, tenant, grown, stage, catalog)
    going_on = replace(found, stages=(*found.stages, ready), state=RunState.RUNNING)
    _check_starts(decide(going_on, pieces).starts, catalog, check)
    used = [BlobUse(tenant, blob, run) for blob in named]
    await tx.use_blobs(used + weights_of_stages(run, [ready]))
    return await step(tx, going_on.going(await tx.now())), stage.name


async def expire_runs(store: Store, *, path: str, limit: int) -> list[Run]:
    """End runs whose deadline has passed; they. Apart from `stop_runs`: jobs are locked before runs."""
    async with store.begin() as tx:
        late = await tx.overdue_runs(path, limit=limit)
        return [await step(tx, expired(run)) for run in late]


async def stop_runs(store: Store, *, path: str, limit: int) -> list[JobId]:
    """Ask to end the jobs of runs that are ending; they. The wishes are honoured as anybody's are."""
    async with store.begin() as tx:
        jobs = await tx.jobs_to_stop(path, limit=limit)
        return await tx.wish_all(jobs) if jobs else []


def _check_starts(starts: Sequence[Start], catalog: Sequence[EngineCard], check: Check) -> None:
    """What begins at once is refused at the door if its engine would. Raises InvalidInput."""
    cards = {(card.lane, card.kind): card for card in catalog}
    for start in starts:
        stage = start.stage
        if start.why is not None:
            raise InvalidInput("", f"stage {stage.name!r}: {start.why}")
        try:
            check(cards[Lane(stage.lane or ""), stage.kind], start.input)
        except InvalidInput as error:
            raise InvalidInput(_where(stage, start, error.pointer), error.why) from error


def _where(stage: Stage, start: Start, pointer: str) -> str:
    """Where in the run's input a stage has that from; nowhere: it is made of more than that."""
    name, _, rest = pointer.removeprefix("/").partition("/")
    behind = f"/{rest}" if rest else ""
    match stage.input.get(name), stage.each:
        case Given() as given, _:
            return f"/{given.name}{behind}"
        case Item(), Given() as given:
            return f"/{given.name}/{start.index}{behind}"
        case Fixed(), _:
            return pointer
        case _:
            return ""


async def _locked(tx: Transaction, tenant: TenantId, run: RunId) -> Run:
    """Raises RunNotFound, also for another tenant's."""
    found = await tx.lock_runs([run])
    if not found or found[0].tenant != tenant:
        raise RunNotFound(run)
    return found[0]


def _stage(run: Run, pieces: Sequence[Piece], addition: Addition) -> Stage:
    source = _giver(run, pieces, addition.of)
    picture = Of(stage=source.name, field=PICTURE)
    fans_out = source.each is not None
    return Stage(
        name=_free_name(run, addition.name),
        kind=addition.kind,
        model=addition.model,
        input={
            **{name: Fixed(value) for name, value in addition.input.items()},
            PICTURE: Item() if fans_out else picture,
        },
        each=picture if fans_out else None,
        gives=dict(addition.gives),
    )


def _giver(run: Run, pieces: Sequence[Piece], wanted: str | None) -> Stage:
    """Raises StageNotFound, RunNotReady."""
    states = View(run, pieces).states
    if wanted is not None and wanted not in states:
        raise StageNotFound(run.id, wanted)
    for stage in reversed(run.stages):
        gave = states[stage.name] is StageState.SUCCEEDED and PICTURE in stage.gives
        if gave and wanted in {None, stage.name}:
            return stage
    where = "no stage" if wanted is None else f"nothing in stage {wanted!r}"
    raise RunNotReady(run.id, f"has {where} that gave a picture")


def _free_name(run: Run, name: str) -> str:
    taken = {stage.name for stage in run.stages}
    numbered = (f"{name}-{number}" for number in count(2))
    return next(each for each in chain([name], numbered) if each not in taken)
