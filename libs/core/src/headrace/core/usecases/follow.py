"""Let the runs that ended jobs belong to take their next step, in the transaction in which they ended.

`conclude`, the one place where jobs end, calls it. So a stage's end and the beginning of the next are both
kept or neither, whichever process dies; a result that comes twice is stale before it gets here.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from headrace.contracts.ids import JobId, Lane, RunId
from headrace.contracts.messages import EngineCard
from headrace.core.blob_names import kept_for
from headrace.core.gang import Gang, gang_of
from headrace.core.job import Job, Spec, State
from headrace.core.pipeline import Stage
from headrace.core.ports.store import NewJob, Transaction
from headrace.core.ports.upkeep import BlobUse
from headrace.core.run import (
    Decision,
    Piece,
    PieceState,
    Run,
    RunState,
    Start,
    decide,
    ended,
    expired,
)
from headrace.core.usecases.made import with_version
from headrace.core.usecases.pick import weights_of

RUN_LABEL: Final = (
    "headrace/run"  # on each job of a run; only a hint: its pieces say whose they are
)
STAGE_LABEL: Final = "headrace/stage"
Cards: TypeAlias = Mapping[tuple[Lane, str], EngineCard]  # by lane and kind


async def runs_of(tx: Transaction, over: Sequence[Job]) -> list[Run]:
    """Those that these jobs belong to, locked."""
    labels = [job.spec.labels for job in over]
    named = {RunId(each[RUN_LABEL]) for each in labels if RUN_LABEL in each}
    return await tx.lock_runs(sorted(named)) if named else []


async def follow(tx: Transaction, over: Sequence[Job], runs: Sequence[Run]) -> None:
    """These jobs have ended, in this transaction, and what they made is registered; `runs` are theirs."""
    by_id = {job.id: job for job in over}
    for run in runs:
        pieces = await tx.pieces(run.id)
        moved = [
            _with_end(run, piece, by_id[piece.job])
            for piece in pieces
            if piece.job in by_id and piece.state is PieceState.RUNNING
        ]
        if moved:
            await tx.save_pieces(run.id, moved)
            await tx.use_blobs(
                [BlobUse(run.tenant, b, run.id) for each in moved for b in kept_for(each.output)]
            )
            await step(tx, run)


def _with_end(run: Run, piece: Piece, job: Job) -> Piece:
    state = ended(piece, job.state, run=run)
    return replace(piece, state=state, output=job.output, error=job.error)


async def step(tx: Transaction, run: Run) -> Run:
    """Begin what can begin, and say how the run stands. The run is locked, or new."""
    while True:
        pieces = await tx.pieces(run.id)
        decision = _decided(run, pieces)
        if decision.starts and await _is_late(tx, run):  # nobody has looked since it passed
            run = expired(run)
            continue
        starts = [await with_version(tx, run, start, pieces) for start in decision.starts]
        began = await _begin(tx, run, starts)
        if not any(start.over for start in began):
            break  # else a piece was over at once, which may end the run or let others begin
    after = replace(run, state=decision.state, error=decision.error)
    await tx.save_run(after)
    return after


async def _is_late(tx: Transaction, run: Run) -> bool:
    return run.deadline_at is not None and run.deadline_at <= await tx.now()


def _decided(run: Run, pieces: Sequence[Piece]) -> Decision:
    try:
        return decide(run, pieces)
    except Exception as error:  # noqa: BLE001  # one run that nobody can plan must not hold up the others' results
        busy = any(piece.state is PieceState.RUNNING for piece in pieces)
        state = RunState.FAILING if busy else RunState.FAILED
        return Decision(state, error={"kind": "internal", "message": f"cannot be planned: {error}"})


async def _begin(tx: Transaction, run: Run, starts: Sequence[Start]) -> list[Start]:
    """Each with its job, unless it has begun already."""
    won = await tx.begin_pieces(run.id, [_piece(run, start) for start in starts])
    began = [start for start, ok in zip(starts, won, strict=True) if ok]
    now = await tx.now()
    cards = await _cards(tx, began)
    jobs = [_job(run, start, now, cards) for start in began if not start.over]
    if jobs:
        await tx.insert([NewJob(job) for job in jobs])
        named = [BlobUse(job.tenant, b, job.id) for job in jobs for b in kept_for(job.spec.input)]
        await tx.use_blobs(named + [use for job in jobs for use in weights_of(job)])
    return began


async def _cards(tx: Transaction, starts: Sequence[Start]) -> Cards:
    """Who would run these: asked only where one may be for several workers."""
    if not any("nodes" in start.input for start in starts):
        return {}
    return {(card.lane, card.kind): card for card in await tx.catalog()}


def _piece(run: Run, start: Start) -> Piece:
    piece = Piece(
        stage=start.stage.name, index=start.index, tries=start.tries, state=PieceState.RUNNING
    )
    if start.why is not None:
        error = {"kind": "input", "message": start.why}
        return replace(piece, state=PieceState.FAILED, error=error)
    if start.output is not None:
        return replace(piece, state=PieceState.SUCCEEDED, output=start.output)
    return replace(piece, job=_job_id(run, start))


def weights_of_stages(run: RunId, stages: Sequence[Stage]) -> list[BlobUse]:
    """That they stay for as long as the run, whatever becomes of their versions."""
    named = [stage.artefact for stage in stages if stage.artefact is not None]
    return [BlobUse(each.tenant, each.blob, run) for each in named]


def jobs_of(run: Run, pieces: Sequence[Piece]) -> list[JobId]:
    """All that it has made, of every try."""
    tries = [(piece, number) for piece in pieces for number in range(1, piece.tries + 1)]
    return [_nth_job(run, piece.stage, piece.index, number) for piece, number in tries]


def _job(run: Run, start: Start, now: datetime, cards: Cards) -> Job:
    stage = start.stage
    card = cards.get((Lane(stage.lane or ""), stage.kind))
    gang = Gang() if card is None else gang_of(card, start.input)
    within = stage.start_within_s
    return Job(
        id=_job_id(run, start),
        tenant=run.tenant,
        spec=Spec(
            kind=stage.kind,
            model=stage.model if isinstance(stage.model, str) else "",
            input=start.input,
            priority=run.priority,
            timeout_s=stage.timeout_s,
            start_deadline=None if within is None else now + timedelta(seconds=within),
            labels={**run.labels, RUN_LABEL: run.id, STAGE_LABEL: stage.name},
            register_as=stage.register_as,
            nodes=gang.nodes,
            gpus=gang.gpus,
        ),
        lane=Lane(stage.lane or ""),
        artefact=stage.artefact,
        path=run.path,
        state=State.QUEUED,
        api_key=run.api_key,
        trace=run.trace,
    )


def _job_id(run: Run, start: Start) -> JobId:
    return _nth_job(run, start.stage.name, start.index, start.tries)


def _nth_job(run: Run, stage: str, index: int, tries: int) -> JobId:
    """The same for the same try of the same piece, and as hard to guess as the run's own id."""
    name = f"{run.id}/{stage}/{index}/{tries}"
    return JobId(str(uuid.UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=4)))
