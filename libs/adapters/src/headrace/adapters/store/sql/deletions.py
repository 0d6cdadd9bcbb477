"""Deletions: each wish, what of it is still to go, and what comes too late for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import (
    Integer,
    Row,
    bindparam,
    delete,
    func,
    null,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql import blob_uses
from headrace.adapters.store.sql.expressions import batch, clock, ids
from headrace.adapters.store.sql.schema_deletions import FINISHED, UNFINISHED, deletions, erased
from headrace.adapters.store.sql.schema_deletions import remnants as left
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name, written
from headrace.contracts.ids import BlobId, DeletionId, JobId, TenantId
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.deletions import Deletion, Kind, Remnant, Sweep

_limit: Final = bindparam("limit", type_=Integer)
_id: Final = bindparam("deletion", type_=Name)
_columns: Final = ("id", "tenant", "subject", "who", "sweep", "removed", "tries", "next_at")
_new: Final = batch(**{name: deletions.c[name].type for name in _columns})
_insert: Final = (
    insert(deletions)
    .from_select([*_columns, "asked_at"], select(*(_new.c[name] for name in _columns), clock()))
    .returning(deletions.c.asked_at)
)


async def insert_deletion(session: Session, deletion: Deletion) -> Deletion:
    asked_at = (await session.run_batch(_insert, [_row(deletion)])).scalar_one()
    return replace(deletion, asked_at=asked_at)


_mine: Final = select(deletions).where(deletions.c.id == _id)
_lock: Final = _mine.with_for_update()
_count_left: Final = select(func.count()).select_from(left).where(left.c.deletion == _id)
_subject: Final = (
    select(deletions)
    .where(
        deletions.c.tenant == bindparam("owner", type_=Name),
        or_(
            deletions.c.subject == bindparam("subject", type_=Name),
            deletions.c.id.in_(
                select(erased.c.deletion).where(erased.c.job == bindparam("job", type_=Name))
            ),
        ),
    )
    .order_by(deletions.c.asked_at.desc())
    .limit(1)
)
_open: Final = (
    select(deletions.c.id)
    .where(text(UNFINISHED), deletions.c.tenant == bindparam("owner", type_=Name))
    .limit(_limit)
)
_due: Final = (
    select(deletions)
    .where(text(UNFINISHED), deletions.c.next_at <= clock())
    .order_by(deletions.c.next_at)
    .limit(_limit)
    .with_for_update(skip_locked=True)
)


async def lock_deletion(session: Session, deletion: DeletionId) -> Deletion | None:
    row = (await session.run(_lock, deletion=deletion)).one_or_none()
    return None if row is None else _to_deletion(row)


async def find(
    session: Session, tenant: TenantId | None, deletion: DeletionId
) -> tuple[Deletion, int] | None:
    row = (await session.run(_mine, deletion=deletion)).one_or_none()
    if row is None or tenant not in {None, row.tenant}:
        return None
    count = (await session.run(_count_left, deletion=deletion)).scalar_one()
    return _to_deletion(row), int(count)


async def deletion_of(session: Session, tenant: TenantId, subject: str) -> Deletion | None:
    kind, _, name = subject.partition(" ")
    job = name if kind == Kind.JOB else ""
    row = (await session.run(_subject, owner=tenant, subject=subject, job=job)).one_or_none()
    return None if row is None else _to_deletion(row)


async def open_deletions(session: Session, tenant: TenantId, at_most: int) -> int:
    return len((await session.run(_open, owner=tenant, limit=at_most)).all())


async def due_deletions(session: Session, limit: int) -> list[Deletion]:
    return [_to_deletion(row) for row in await session.run(_due, limit=limit)]


_kept: Final = batch(
    id=Name, **{name: deletions.c[name].type for name in ("sweep", "removed", "tries", "next_at")}
)
_save: Final = (
    update(deletions)
    .where(deletions.c.id == _kept.c.id)
    .values(
        sweep=_kept.c.sweep,
        removed=_kept.c.removed,
        tries=_kept.c.tries,
        next_at=_kept.c.next_at,
        finished_at=func.coalesce(
            deletions.c.finished_at,
            select(clock()).where(_kept.c.next_at.is_(None)).scalar_subquery(),
        ),
    )
)


async def save_deletion(session: Session, deletion: Deletion) -> None:
    await session.run_batch(_save, [_row(deletion)])


def _row(deletion: Deletion) -> dict[str, Any]:
    return {
        "id": deletion.id,
        "tenant": deletion.tenant,
        "subject": deletion.subject,
        "who": deletion.who,
        "sweep": None if deletion.sweep is None else msgspec.to_builtins(deletion.sweep),
        "removed": dict(deletion.removed),
        "tries": deletion.tries,
        "next_at": written(deletion.next_at),
    }


_left: Final = ("deletion", "kind", "tenant", "name")
_added: Final = batch(**dict.fromkeys(_left, Name))
_add: Final = (
    insert(left)
    .from_select(_left, select(*(_added.c[name] for name in _left)).where(true()))
    .on_conflict_do_nothing()
)
_drop: Final = (
    delete(left)
    .where(
        tuple_(*(left.c[name] for name in _left)).in_(select(*(_added.c[name] for name in _left)))
    )
    .returning(left.c.kind, left.c.tenant, left.c.name)
)


async def add_remnants(session: Session, deletion: DeletionId, remnants: Sequence[Remnant]) -> None:
    if remnants:
        await session.run_batch(_add, _packed(deletion, remnants))


async def remnants(
    session: Session, deletion: DeletionId, kinds: Sequence[Kind], limit: int
) -> list[Remnant]:
    wanted = select(left).where(left.c.deletion == deletion, left.c.kind.in_(kinds))
    return [_to_remnant(row) for row in await session.run(wanted.limit(limit))]


async def drop_remnants(
    session: Session, deletion: DeletionId, gone: Sequence[Remnant]
) -> list[Remnant]:
    if not gone:
        return []
    return [_to_remnant(row) for row in await session.run_batch(_drop, _packed(deletion, gone))]


def _packed(deletion: DeletionId, remnants: Sequence[Remnant]) -> list[dict[str, Any]]:
    return [
        {"deletion": deletion, "kind": each.kind, "tenant": each.tenant, "name": each.name}
        for each in remnants
    ]


_known: Final = select(erased).where(erased.c.job.in_(ids))
_reopen: Final = (
    update(deletions).where(deletions.c.id.in_(ids)).values(finished_at=null(), next_at=clock())
)


async def note_late(session: Session, named: Mapping[JobId, Sequence[BlobId]]) -> None:
    if not named:
        return
    rows = (await session.run_batch(_known, [{"id": job} for job in named])).all()
    for row in rows:
        refs = [BlobRef(TenantId(row.owner), blob) for blob in named[JobId(row.job)]]
        unused = await blob_uses.unused(session, refs)
        late = [Remnant(Kind.BLOB, each.tenant, each.blob) for each in unused]
        await add_remnants(session, DeletionId(row.deletion), late)
    if rows:
        await session.run_batch(_reopen, [{"id": row.deletion} for row in rows])


_old: Final = (
    select(deletions.c.id)
    .where(text(FINISHED), deletions.c.finished_at < bindparam("then", type_=Instant))
    .order_by(deletions.c.finished_at)
    .limit(_limit)
    .with_for_update(skip_locked=True)
)
_forget: Final = (
    delete(erased).where(erased.c.deletion.in_(ids)),
    delete(deletions).where(deletions.c.id.in_(ids)),
)


async def purge_deletions(session: Session, finished_before: datetime, limit: int) -> int:
    old = (await session.run(_old, then=finished_before, limit=limit)).scalars().all()
    for statement in _forget if old else ():
        await session.run_batch(statement, [{"id": each} for each in old])
    return len(old)


def _to_remnant(row: Row[Any]) -> Remnant:
    return Remnant(Kind(row.kind), TenantId(row.tenant), row.name)


def _to_deletion(row: Row[Any]) -> Deletion:
    return Deletion(
        id=DeletionId(row.id),
        tenant=TenantId(row.tenant),
        subject=row.subject,
        who=row.who,
        sweep=None if row.sweep is None else msgspec.convert(row.sweep, Sweep),
        removed=row.removed,
        tries=row.tries,
        next_at=row.next_at,
        asked_at=row.asked_at,
        finished_at=row.finished_at,
    )
