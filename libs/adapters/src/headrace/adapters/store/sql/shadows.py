"""Shadows: which are over, which wait in vain, how they leave, and what they showed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Integer, Row, bindparam, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql import blob_uses
from headrace.adapters.store.sql.expressions import batch, clock, ids, literally
from headrace.adapters.store.sql.rows import to_job
from headrace.adapters.store.sql.schema import IS_SHADOW, attempts, jobs
from headrace.adapters.store.sql.schema_around import blob_uses as uses
from headrace.adapters.store.sql.schema_rollout import comparisons as table
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant
from headrace.contracts.ids import JobId, TenantId
from headrace.core.job import TERMINAL, State
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.rollouts import COMPARISONS_KEPT, Comparison, Pair

_limit: Final = bindparam("limit", type_=Integer)
_terminal: Final = [literally(state) for state in sorted(TERMINAL)]
_original: Final = jobs.alias("original")
_is_shadow: Final = text(f"jobs.{IS_SHADOW}")
_both: Final = jobs.outerjoin(_original, _original.c.id == jobs.c.shadow_of)
_gone: Final = _original.c.id.is_(None)

_over: Final = (
    select(jobs)
    .select_from(_both)
    .where(
        _is_shadow,
        jobs.c.state.in_(_terminal),
        or_(_gone, _original.c.state.in_(_terminal)),
    )
    .limit(_limit)
    .with_for_update(skip_locked=True, of=jobs)
)
_originals: Final = select(jobs).where(jobs.c.id.in_(ids))


async def over(session: Session, limit: int) -> list[Pair]:
    shadows = [to_job(row) for row in await session.run(_over, limit=limit)]
    if not shadows:
        return []
    rows = await session.run_batch(_originals, [{"id": each.shadow_of} for each in shadows])
    found = {row.id: to_job(row) for row in rows}
    return [Pair(each, found.get(str(each.shadow_of))) for each in shadows]


_in_vain: Final = (
    select(jobs.c.number)
    .select_from(_both)
    .where(
        _is_shadow,
        jobs.c.state.not_in(_terminal),
        jobs.c.cancel_asked_at.is_(None),
        or_(
            _gone,
            _original.c.state == literally(State.CANCELLED),
            _original.c.finished_at < bindparam("then", type_=Instant),
        ),
    )
    .limit(_limit)
    .with_for_update(skip_locked=True, of=jobs)
    .cte("in_vain")
)
_wish: Final = (
    update(jobs)
    .where(jobs.c.number == _in_vain.c.number)
    .values(cancel_asked_at=clock())
    .returning(jobs.c.id)
)


async def give_up(session: Session, waiting_since: datetime, limit: int) -> list[JobId]:
    wished = await session.run(_wish, then=waiting_since, limit=limit)
    found = [JobId(row.id) for row in wished]
    session.stirred |= bool(found)
    return found


_with_shadow: Final = (
    delete(attempts).where(attempts.c.job.in_(ids)),
    delete(uses).where(uses.c.used_by.in_(ids)),
    delete(jobs).where(jobs.c.id.in_(ids)),
)


async def discard(session: Session, shadows: Sequence[JobId]) -> list[BlobRef]:
    """One that has ended has left the outbox, and is in no dead letter."""
    if not shadows:
        return []
    rows: list[dict[str, Any]] = [{"id": job} for job in shadows]
    named = await blob_uses.named_by(session, rows)
    for statement in _with_shadow:
        await session.run_batch(statement, rows)
    return await blob_uses.unused(session, named)


_columns: Final = ("job", "shadow", "tenant", "kind", "path", "same", "diff")
_found: Final = batch(**{name: table.c[name].type for name in _columns})
_note: Final = (
    insert(table)
    .from_select([*_columns, "at"], select(*(_found.c[name] for name in _columns), clock()))
    .returning(table.c.number)
)
_forget: Final = delete(table).where(table.c.number <= bindparam("oldest", type_=Integer))


async def note(session: Session, found: Sequence[Comparison]) -> None:
    if not found:
        return
    rows = [
        {**{name: getattr(each, name) for name in _columns}, "same": int(each.same)}
        for each in found
    ]
    numbers = (await session.run_batch(_note, rows)).scalars().all()
    await session.run(_forget, oldest=max(numbers) - COMPARISONS_KEPT)


_list: Final = select(table).order_by(table.c.number.desc()).limit(_limit)
_count: Final = select(
    func.count().label("many"), func.coalesce(func.sum(table.c.same), 0).label("same")
).select_from(table)


async def latest(session: Session, limit: int) -> list[Comparison]:
    return [_to_comparison(row) for row in await session.run(_list, limit=limit)]


async def compared(session: Session) -> tuple[int, int]:
    row = (await session.run(_count)).one()
    return row.many, row.same


def _to_comparison(row: Row[Any]) -> Comparison:
    return Comparison(
        job=JobId(row.job),
        shadow=JobId(row.shadow),
        tenant=TenantId(row.tenant),
        kind=row.kind,
        path=row.path,
        same=bool(row.same),
        diff=row.diff,
        at=row.at,
    )
