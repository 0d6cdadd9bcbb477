"""Which waiting jobs a remote worker may have: by classes that want the same, by tenants, by the heads of queues.

Each is found by one probe a class, a tenant, or a pair of them, whatever waits behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Row,
    Select,
    bindparam,
    case,
    func,
    literal_column,
    select,
    text,
    true,
)

from headrace.adapters.store.sql.expressions import batch, clock
from headrace.adapters.store.sql.schema import WANTING, lanes, outbox, tenants
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Name
from headrace.contracts.ids import JobId, Lane, TenantId
from headrace.core.fair_share import Share
from headrace.core.ports.remotes import CLASSES_AT_MOST, COUNTED_TO, Candidate, Class

_path: Final = bindparam("path", type_=Name)
_wanting: Final = (text(WANTING), outbox.c.path == _path)
_one: Final = literal_column("1", Integer)


def _ring(column: ColumnElement[Any], start: ColumnElement[bool], at_most: Any) -> Select[Any]:
    """Distinct values of an index's column in order, no more than are asked for."""
    least = select(func.min(column).label("value")).where(*_wanting)
    ring = least.where(start).add_columns(_one.label("place")).cte("ring", recursive=True)
    following = least.where(column > ring.c.value).scalar_subquery()
    further = select(following, ring.c.place + _one).where(
        ring.c.value.is_not(None), ring.c.place < at_most
    )
    return select(ring.union_all(further).c.value)


_found: Final = _ring(
    outbox.c.wants, outbox.c.wants >= "", literal_column(str(CLASSES_AT_MOST), Integer)
).subquery("found")
_of_class: Final = (
    select(_one)
    .where(*_wanting, outbox.c.wants == _found.c.value)
    .limit(literal_column(str(COUNTED_TO), Integer))
    .correlate(_found)
    .subquery("of_class")
)
_size: Final = select(func.count()).select_from(_of_class).scalar_subquery()
_classes: Final = (
    select(_found.c.value, _size.label("waiting"))
    .select_from(_found)
    .where(_found.c.value.is_not(None))
    .order_by(_found.c.value)
)


async def classes(session: Session, path: str) -> list[Class]:
    return [Class(row.value, row.waiting) for row in await session.run(_classes, path=path)]


_limit: Final = bindparam("limit", type_=Integer)
_standing: Final = _ring(
    outbox.c.tenant, outbox.c.tenant >= bindparam("start", type_=Name), _limit
).subquery("standing")
_tenants: Final = (
    select(_standing.c.value.label("tenant"), tenants.c.weight)
    .select_from(_standing.outerjoin(tenants, tenants.c.name == _standing.c.value))
    .where(_standing.c.value.is_not(None))
    .order_by(_standing.c.value)
)


async def wanting(session: Session, path: str, start: TenantId | None, limit: int) -> list[Share]:
    rows = await session.run(_tenants, path=path, start=start or "", limit=limit)
    return [Share(TenantId(row.tenant), row.weight or 1) for row in rows]


_asked: Final = batch(tenant=Name, wants=Name)
_columns: Final = (
    *(outbox.c[name] for name in ("job", "epoch", "tenant", "lane", "wants")),
    *(outbox.c[name] for name in ("since", "number", "sent_at", "reserved_until")),
)

_paused: Final = (
    select(lanes.c.name)
    .where(lanes.c.name == outbox.c.lane, lanes.c.paused_at.is_not(None))
    .correlate(outbox)
    .exists()
)


def _heads(*columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .where(
            *_wanting,
            outbox.c.tenant == _asked.c.tenant,
            outbox.c.wants == _asked.c.wants,
            ~_paused,
        )
        .order_by(outbox.c.since, outbox.c.number)
        .limit(bindparam("each", type_=Integer))
        .correlate(_asked)
    )


def _with_offer(head: FromClause) -> list[ColumnElement[Any]]:
    """An offer that is on its way at this moment is as young as can be."""
    on_its_way = head.c.reserved_until > clock()
    offered_at = case((on_its_way, clock()), else_=head.c.sent_at).label("offered_at")
    return [*(head.c[column.name] for column in _columns), offered_at]


_lateral: Final = _heads(*_columns).lateral("head")
_postgresql: Final = select(*_with_offer(_lateral)).select_from(_asked.join(_lateral, true()))
_row: Final = outbox.alias("head")
_sqlite: Final = select(*_with_offer(_row)).select_from(
    _asked.join(_row, _row.c.number.in_(_heads(outbox.c.number)))
)


async def fitting(
    session: Session, path: str, whose: Sequence[TenantId], wants: Sequence[str], each: int
) -> dict[TenantId, list[Candidate]]:
    pairs = [{"tenant": tenant, "wants": each_of} for tenant in whose for each_of in wants]
    if not pairs:
        return {}
    statement = _postgresql if session.postgresql else _sqlite
    rows = await session.run_batch(statement, pairs, path=path, each=each)
    found: dict[TenantId, list[Candidate]] = {}
    for row in sorted(rows, key=lambda row: (row.since, row.number)):
        found.setdefault(TenantId(row.tenant), []).append(_candidate(row))
    return found


def _candidate(row: Row[Any]) -> Candidate:
    job, tenant = JobId(row.job), TenantId(row.tenant)
    return Candidate(job, row.epoch, tenant, Lane(row.lane), row.wants, row.offered_at)
