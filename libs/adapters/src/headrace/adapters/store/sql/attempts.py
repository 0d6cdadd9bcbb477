"""The history of attempts: opened by a grant, closed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, select, true, update
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import batch, clock
from headrace.adapters.store.sql.rows import ended_row, started_row, to_attempt
from headrace.adapters.store.sql.schema import attempts
from headrace.adapters.store.sql.session import Session
from headrace.contracts.ids import JobId
from headrace.core.job import Job
from headrace.core.ports.store import AttemptEnd, AttemptRecord

_begun_columns: Final = ("job", "attempt", "epoch", "worker", "resumed_step")
_begun: Final = batch(**{name: attempts.c[name].type for name in _begun_columns})
_open: Final = (
    insert(attempts)
    .from_select(
        [*_begun_columns, "started_at"],
        select(*(_begun.c[name] for name in _begun_columns), clock()).where(true()),
    )
    .on_conflict_do_nothing()
)
_ended: Final = batch(
    **{name: attempts.c[name].type for name in ("job", "attempt", "outcome", "error", "stages")}
)
_close: Final = (
    update(attempts)
    .where(
        attempts.c.job == _ended.c.job,
        attempts.c.attempt == _ended.c.attempt,
        attempts.c.ended_at.is_(None),
    )
    .values(
        ended_at=clock(),
        outcome=_ended.c.outcome,
        error=_ended.c.error,
        stages=_ended.c.stages,
    )
)
_history: Final = (
    select(attempts).where(attempts.c.job == bindparam("job")).order_by(attempts.c.attempt)
)


async def open_attempts(session: Session, granted: Sequence[Job]) -> None:
    if granted:
        await session.run_batch(_open, [started_row(job) for job in granted])


async def close_attempts(session: Session, ends: Sequence[AttemptEnd]) -> None:
    first = {(end.job, end.attempt): end for end in reversed(ends)}
    if first:
        await session.run_batch(_close, [ended_row(end) for end in first.values()])


async def history(session: Session, job: JobId) -> list[AttemptRecord]:
    return [to_attempt(row) for row in await session.run(_history, job=job)]
