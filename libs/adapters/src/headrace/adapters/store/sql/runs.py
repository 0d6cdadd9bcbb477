"""Runs of pipelines, and a row for each piece of their stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import (
    Integer,
    Row,
    bindparam,
    case,
    delete,
    func,
    literal,
    literal_column,
    null,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql import blob_uses
from headrace.adapters.store.sql.expressions import batch, clock, ids
from headrace.adapters.store.sql.schema import jobs
from headrace.adapters.store.sql.schema_around import blob_uses as uses
from headrace.adapters.store.sql.schema_runs import ENDING, HURRYING, OVER, run_stages, runs
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name
from headrace.contracts.ids import JobId, KeyId, RunId, TenantId
from headrace.core.pipeline import Stage
from headrace.core.ports.runs import PurgedRuns
from headrace.core.run import OVER as OVER_STATES
from headrace.core.run import Piece, PieceState, Run, RunState

_columns: Final = (
    *("id", "tenant", "pipeline", "stages", "input", "path", "state", "error", "labels"),
    *("priority", "api_key", "trace", "deadline_s", "deadline_at"),
)
_new: Final = batch(**{name: runs.c[name].type for name in _columns})
_insert: Final = (
    insert(runs)
    .from_select([*_columns, "created_at"], select(*(_new.c[name] for name in _columns), clock()))
    .returning(runs.c.created_at)
)


async def insert_run(session: Session, run: Run) -> Run:
    row = {
        **{name: getattr(run, name) for name in _columns},
        "stages": msgspec.to_builtins(run.stages),
    }
    made = (await session.run_batch(_insert, [row])).scalar_one()
    return replace(run, created_at=made)


_find: Final = select(runs).where(
    runs.c.tenant == bindparam("owner", type_=Name), runs.c.id == bindparam("run", type_=Name)
)
_lock: Final = select(runs).where(runs.c.id.in_(ids)).order_by(runs.c.id).with_for_update()


async def find(session: Session, tenant: TenantId, run: RunId) -> Run | None:
    row = (await session.run(_find, owner=tenant, run=run)).one_or_none()
    return None if row is None else _to_run(row)


async def lock(session: Session, wanted: Sequence[RunId]) -> list[Run]:
    rows = await session.run_batch(_lock, [{"id": run} for run in wanted])
    return [_to_run(row) for row in rows]


async def page(
    session: Session, tenant: TenantId, before: tuple[datetime, RunId] | None, limit: int
) -> list[Run]:
    wanted = select(runs).where(runs.c.tenant == tenant)
    if before is not None:
        created_at, run = before
        older = tuple_(literal(created_at, Instant), literal(run, Name))
        wanted = wanted.where(tuple_(runs.c.created_at, runs.c.id) < older)
    newest_first = (runs.c.created_at.desc(), runs.c.id.desc())
    rows = await session.run(wanted.order_by(*newest_first).limit(limit))
    return [_to_run(row) for row in rows]


_changing: Final = ("state", "error", "stages", "deadline_at")
_changed: Final = batch(id=Name, **{name: runs.c[name].type for name in _changing})
_over: Final = _changed.c.state.in_([literal_column(f"'{each}'") for each in sorted(OVER_STATES)])
_save: Final = (
    update(runs)
    .where(runs.c.id == _changed.c.id)
    .values(
        **{name: _changed.c[name] for name in _changing},
        finished_at=case((_over, func.coalesce(runs.c.finished_at, clock())), else_=null()),
    )
)


async def save(session: Session, run: Run) -> None:
    kept = {name: getattr(run, name) for name in _changing}
    row = {"id": run.id, **kept, "stages": msgspec.to_builtins(run.stages)}
    await session.run_batch(_save, [row])
    session.stirred |= run.state in {RunState.FAILING, RunState.CANCELLING}


_of_piece: Final = ("run", "stage", "piece", "tries", "state", "job", "output", "error")
_begun: Final = batch(**{name: run_stages.c[name].type for name in _of_piece})
_running: Final = literal_column(f"'{PieceState.RUNNING}'", Name)
_put: Final = insert(run_stages).from_select(
    [*_of_piece, "started_at", "ended_at"],
    select(
        *(_begun.c[name] for name in _of_piece),
        clock(),
        case((_begun.c.state == _running, null()), else_=clock()),
    ).where(true()),
)
_again: Final = ("tries", "state", "job", "output", "error", "started_at", "ended_at")
_begin: Final = _put.on_conflict_do_update(
    index_elements=[run_stages.c.run, run_stages.c.stage, run_stages.c.piece],
    set_={name: _put.excluded[name] for name in _again},
    where=run_stages.c.tries == _put.excluded.tries - 1,
).returning(run_stages.c.stage, run_stages.c.piece)
_pieces: Final = (
    select(run_stages)
    .where(run_stages.c.run == bindparam("run", type_=Name))
    .order_by(run_stages.c.stage, run_stages.c.piece)
)
_ended: Final = batch(**{name: run_stages.c[name].type for name in _of_piece})
_end: Final = (
    update(run_stages)
    .where(
        run_stages.c.run == _ended.c.run,
        run_stages.c.stage == _ended.c.stage,
        run_stages.c.piece == _ended.c.piece,
        run_stages.c.tries == _ended.c.tries,
    )
    .values(
        state=_ended.c.state,
        output=_ended.c.output,
        error=_ended.c.error,
        ended_at=func.coalesce(run_stages.c.ended_at, clock()),
    )
)


async def pieces(session: Session, run: RunId) -> list[Piece]:
    return [_to_piece(row) for row in await session.run(_pieces, run=run)]


async def begin_pieces(session: Session, run: RunId, begun: Sequence[Piece]) -> list[bool]:
    if not begun:
        return []
    rows = await session.run_batch(_begin, [_piece_row(run, each) for each in begun])
    won = {(row.stage, row.piece) for row in rows}
    return [(each.stage, each.index) in won for each in begun]


async def save_pieces(session: Session, run: RunId, changed: Sequence[Piece]) -> None:
    if changed:
        await session.run_batch(_end, [_piece_row(run, each) for each in changed])


_overdue: Final = (
    select(runs)
    .where(
        runs.c.path == bindparam("path", type_=Name),
        text(HURRYING),
        runs.c.deadline_at <= clock(),
    )
    .order_by(runs.c.deadline_at)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
)


async def overdue(session: Session, path: str, limit: int) -> list[Run]:
    return [_to_run(row) for row in await session.run(_overdue, path=path, limit=limit)]


_to_stop: Final = (
    select(jobs.c.id)
    .select_from(runs)
    .join(run_stages, run_stages.c.run == runs.c.id)
    .join(jobs, jobs.c.id == run_stages.c.job)
    .where(
        runs.c.path == bindparam("path", type_=Name),
        text(ENDING.replace("state", "runs.state")),
        run_stages.c.state == _running,
        jobs.c.cancel_asked_at.is_(None),
    )
    .order_by(jobs.c.id)
    .limit(bindparam("limit", type_=Integer))
)


async def jobs_to_stop(session: Session, path: str, limit: int) -> list[JobId]:
    found = await session.run(_to_stop, path=path, limit=limit)
    return [JobId(job) for job in found.scalars()]


_old: Final = (
    select(runs.c.id)
    .where(text(OVER), runs.c.finished_at < bindparam("then", type_=Instant))
    .order_by(runs.c.finished_at)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
)
_with_run: Final = (
    delete(run_stages).where(run_stages.c.run.in_(ids)),
    delete(uses).where(uses.c.used_by.in_(ids)),
    delete(runs).where(runs.c.id.in_(ids)),
)


_old_of: Final = _old.where(runs.c.tenant == bindparam("owner", type_=Name))


async def purge_runs(
    session: Session, finished_before: datetime, limit: int, tenant: TenantId | None
) -> PurgedRuns:
    whose = {} if tenant is None else {"owner": tenant}
    question = _old if tenant is None else _old_of
    found = await session.run(question, then=finished_before, limit=limit, **whose)
    old = found.scalars().all()
    if not old:
        return PurgedRuns(0, [])
    rows = [{"id": run} for run in old]
    named = await blob_uses.named_by(session, rows)
    for statement in _with_run:
        await session.run_batch(statement, rows)
    return PurgedRuns(len(old), await blob_uses.unused(session, named))


def _piece_row(run: RunId, piece: Piece) -> dict[str, Any]:
    same = {name: getattr(piece, name) for name in _of_piece if name not in {"run", "piece"}}
    return {**same, "run": run, "piece": piece.index}


def _to_run(row: Row[Any]) -> Run:
    return Run(
        id=RunId(row.id),
        tenant=TenantId(row.tenant),
        pipeline=row.pipeline,
        stages=msgspec.convert(row.stages, tuple[Stage, ...]),
        input=row.input,
        path=row.path,
        state=RunState(row.state),
        error=row.error,
        labels=row.labels,
        priority=row.priority,
        api_key=None if row.api_key is None else KeyId(row.api_key),
        trace=row.trace,
        deadline_s=row.deadline_s,
        deadline_at=row.deadline_at,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _to_piece(row: Row[Any]) -> Piece:
    return Piece(
        stage=row.stage,
        index=row.piece,
        state=PieceState(row.state),
        tries=row.tries,
        job=None if row.job is None else JobId(row.job),
        output=row.output,
        error=row.error,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
