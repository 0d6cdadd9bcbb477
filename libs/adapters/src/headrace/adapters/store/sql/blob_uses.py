"""Which jobs and schedules name a blob. Rows only for those that do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Integer, Row, and_, bindparam, delete, select, true
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import batch, ids
from headrace.adapters.store.sql.schema_around import blob_uses as table
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Name
from headrace.contracts.ids import BlobId, JobId, TenantId
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.upkeep import BlobUse

_columns: Final = ("tenant", "blob", "used_by")
_all_columns: Final = (*_columns, "made")
_new: Final = batch(tenant=Name, blob=Name, used_by=Name, made=Integer)
_use: Final = (
    insert(table)
    .from_select(_all_columns, select(*(_new.c[name] for name in _all_columns)).where(true()))
    .on_conflict_do_nothing()
)
_heirs: Final = batch(old=Name, new=Name)
_inherit: Final = (
    insert(table)
    .from_select(
        _columns,
        select(table.c.tenant, table.c.blob, _heirs.c.new)
        .join(_heirs, table.c.used_by == _heirs.c.old)
        .where(table.c.made.is_(None)),
    )
    .on_conflict_do_nothing()
)
_asked: Final = batch(tenant=Name, blob=Name)
_unused: Final = select(_asked.c.tenant, _asked.c.blob).where(
    ~select(table.c.used_by)
    .where(and_(table.c.tenant == _asked.c.tenant, table.c.blob == _asked.c.blob))
    .exists()
)
_forget: Final = delete(table).where(table.c.used_by == bindparam("used_by", type_=Name))
_named_by: Final = select(table.c.tenant, table.c.blob).where(table.c.used_by.in_(ids)).distinct()


async def use_blobs(session: Session, uses: Sequence[BlobUse]) -> None:
    if uses:
        rows = [
            {**{name: getattr(use, name) for name in _columns}, "made": 1 if use.made else None}
            for use in uses
        ]
        await session.run_batch(_use, rows)


async def inherit_blobs(session: Session, heirs: Mapping[JobId, JobId]) -> None:
    if heirs:
        await session.run_batch(_inherit, [{"old": old, "new": new} for old, new in heirs.items()])


async def forget_uses(session: Session, used_by: str) -> None:
    await session.run(_forget, used_by=used_by)


async def named_by(session: Session, rows: Sequence[dict[str, Any]]) -> list[BlobRef]:
    """By any of these rows' ids."""
    return _refs(await session.run_batch(_named_by, rows))


async def unused(session: Session, blobs: Sequence[BlobRef]) -> list[BlobRef]:
    if not blobs:
        return []
    rows: list[dict[str, Any]] = [{"tenant": each.tenant, "blob": each.blob} for each in blobs]
    return _refs(await session.run_batch(_unused, rows))


def _refs(rows: Iterable[Row[Any]]) -> list[BlobRef]:
    return [BlobRef(TenantId(row.tenant), BlobId(row.blob)) for row in rows]
