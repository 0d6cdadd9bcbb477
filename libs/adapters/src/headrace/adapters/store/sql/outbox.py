"""The outbox: jobs that wait to be offered, found without looking at those that wait behind them.

Whoever marks rows skips those that another transaction holds, and so never waits: only a claim,
which holds the job, waits for an outbox row. A mark lost that way costs one more offer, no job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    TextClause,
    Update,
    and_,
    bindparam,
    func,
    null,
    or_,
    select,
    text,
    true,
    update,
)

from headrace.adapters.store.sql.expressions import batch, clock
from headrace.adapters.store.sql.rows import to_waiting
from headrace.adapters.store.sql.schema import OFFERED, SENT, lanes, outbox
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name
from headrace.contracts.ids import Lane, TenantId
from headrace.core.job import Job
from headrace.core.ports.store import Waiting

AHEAD_AT_MOST: Final = 1000  # nobody needs to know exactly how far back they are beyond that

_path: Final = bindparam("path", type_=Name)
_lane: Final = bindparam("lane", type_=Name)
_waiting_columns: Final = tuple(
    outbox.c[name] for name in ("job", "epoch", "tenant", "trace", "wants")
)


_free: Final = or_(outbox.c.reserved_until.is_(None), outbox.c.reserved_until <= clock())


def loosely(column: Any, name: str, *within: ColumnElement[bool] | TextClause) -> CTE:
    """Every distinct value of an index's column, by one probe a value, not by reading the index."""
    least = select(func.min(column).label("value")).where(*within)
    values = least.cte(name, recursive=True)
    following = least.where(column > values.c.value).scalar_subquery()
    return values.union_all(select(following).where(values.c.value.is_not(None)))


_unsent: Final = outbox.c.sent_at.is_(None)
_lanes: Final = loosely(outbox.c.lane, "having_rows", _unsent, outbox.c.path == _path)
lanes_with_waiting: Final = select(_lanes.c.value)
_paused: Final = lanes.c.paused_at.is_not(None)
_waiting_lanes: Final = (
    select(_lanes.c.value)
    .where(
        select(outbox.c.number)
        .where(
            outbox.c.path == _path,
            outbox.c.lane == _lanes.c.value,
            outbox.c.sent_at.is_(None),
            _free,
        )
        .exists(),
        ~select(lanes.c.name).where(lanes.c.name == _lanes.c.value, _paused).exists(),
    )
    .order_by(_lanes.c.value)
)


async def waiting_lanes(session: Session, path: str) -> list[Lane]:
    rows = await session.run(_waiting_lanes, path=path)
    return [Lane(row.value) for row in rows]


_offered: Final = (
    select(func.count())
    .select_from(outbox)
    .where(
        outbox.c.path == _path,
        outbox.c.lane == _lane,
        text(OFFERED),
        or_(outbox.c.sent_at.is_not(None), outbox.c.reserved_until > clock()),
    )
)


async def offered(session: Session, path: str, lane: Lane) -> int:
    return int((await session.run(_offered, path=path, lane=lane)).scalar_one())


_tenants: Final = loosely(
    outbox.c.tenant, "standing", _unsent, outbox.c.path == _path, outbox.c.lane == _lane
)


def _queue_of(tenant: ColumnElement[str], *columns: Any, at_most: str) -> Select[Any]:
    """The head of a tenant's queue."""
    return (
        select(*columns)
        .where(
            outbox.c.path == _path,
            outbox.c.lane == _lane,
            outbox.c.tenant == tenant,
            outbox.c.sent_at.is_(None),
            outbox.c.nodes.is_(None),
            _free,
        )
        .order_by(outbox.c.since, outbox.c.number)
        .limit(bindparam(at_most, type_=Integer))
    )


def _heads(
    whose: FromClause, tenant: ColumnElement[Any], *columns: Any, at_most: str
) -> tuple[Select[Any], Select[Any]]:
    """The same for PostgreSQL, which joins laterally, and SQLite, which cannot."""
    lateral = _queue_of(tenant, *columns, at_most=at_most).correlate(whose).lateral("head")
    row = outbox.alias("head")
    numbers = _queue_of(tenant, outbox.c.number, at_most=at_most).correlate(whose)
    return (
        select(*lateral.c).select_from(whose.join(lateral, true())),
        select(*(row.c[column.name] for column in columns)).select_from(
            whose.join(row, row.c.number.in_(numbers))
        ),
    )


_in_order: Final = (*_waiting_columns, outbox.c.since, outbox.c.number)
_asked: Final = batch(tenant=Name)
_waiting: Final = _heads(_asked, _asked.c.tenant, *_in_order, at_most="each")


async def waiting(
    session: Session, path: str, lane: Lane, wanted: Mapping[TenantId, int]
) -> dict[TenantId, list[Waiting]]:
    """One question for each size of wish, rounded up to a power of two.

    No database takes a LIMIT from a row; so at most twice as many rows are read as are wanted.
    """
    sizes: dict[int, list[TenantId]] = {}
    for tenant, count in wanted.items():
        if count > 0:
            sizes.setdefault(1 << (count - 1).bit_length(), []).append(tenant)
    statement = _waiting[0] if session.postgresql else _waiting[1]
    heads: dict[TenantId, list[Waiting]] = {}
    for size, tenants in sizes.items():
        asked = [{"tenant": tenant} for tenant in tenants]
        rows = await session.run_batch(statement, asked, path=path, lane=lane, each=size)
        for row in sorted(rows, key=lambda row: (row.tenant, row.since, row.number)):
            heads.setdefault(TenantId(row.tenant), []).append(to_waiting(row))
    return {tenant: rows[: wanted[tenant]] for tenant, rows in heads.items()}


_rows: Final = batch(job=Name, epoch=Integer)


def _mark(*conditions: ColumnElement[bool], **values: Any) -> Update:
    taken = (
        select(outbox.c.number)
        .join(_rows, and_(outbox.c.job == _rows.c.job, outbox.c.epoch == _rows.c.epoch))
        .where(*conditions)
        .with_for_update(of=outbox, skip_locked=True)
        .cte("taken")
    )
    return update(outbox).where(outbox.c.number.in_(select(taken.c.number))).values(values)


_reserve: Final = _mark(
    outbox.c.sent_at.is_(None), _free, reserved_until=bindparam("until", type_=Instant)
).returning(outbox.c.job)
_mark_sent: Final = _mark(sent_at=clock(), reserved_until=null())
_unreserve: Final = _mark(outbox.c.sent_at.is_(None), reserved_until=null())
_resend: Final = _mark(outbox.c.sent_at.is_not(None), sent_at=null(), reserved_until=null())


async def reserve(session: Session, rows: Sequence[Waiting], until: datetime) -> list[Waiting]:
    if not rows:
        return []
    won = {row.job for row in await session.run_batch(_reserve, _packed(rows), until=until)}
    return [row for row in rows if row.job in won]


async def mark_sent(session: Session, rows: Sequence[Waiting]) -> None:
    if rows:
        await session.run_batch(_mark_sent, _packed(rows))


async def unreserve(session: Session, rows: Sequence[Waiting]) -> None:
    if rows:
        await session.run_batch(_unreserve, _packed(rows))


async def resend(session: Session, rows: Sequence[Waiting]) -> None:
    if rows:
        await session.run_batch(_resend, _packed(rows))


def _packed(rows: Sequence[Waiting]) -> list[dict[str, Any]]:
    return [{"job": row.job, "epoch": row.epoch} for row in rows]


_then: Final = bindparam("then", type_=Instant)
_sending: Final = loosely(outbox.c.lane, "sending", text(SENT), outbox.c.path == _path)
lanes_with_offers: Final = select(_sending.c.value).where(_sending.c.value.is_not(None))
_sent_before: Final = (
    select(*_waiting_columns)
    .where(text(SENT), outbox.c.path == _path, outbox.c.lane == _lane, outbox.c.sent_at < _then)
    .order_by(outbox.c.sent_at)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
)


async def sent_before(
    session: Session, path: str, then: datetime, limit: int
) -> dict[Lane, list[Waiting]]:
    """Lane by lane: what lies in one is no reason not to look into another."""
    found: dict[Lane, list[Waiting]] = {}
    for lane in (await session.run(lanes_with_offers, path=path)).scalars().all():
        rows = await session.run(_sent_before, path=path, lane=lane, then=then, limit=limit)
        if waiting := [to_waiting(row) for row in rows]:
            found[Lane(lane)] = waiting
    return found


_place: Final = select(outbox.c.since, outbox.c.number).where(
    outbox.c.job == bindparam("job", type_=Name), outbox.c.sent_at.is_(None)
)
_since: Final = bindparam("since", type_=outbox.c.since.type)
_number: Final = bindparam("number", type_=outbox.c.number.type)
_own: Final = (
    select(outbox.c.number)
    .where(
        outbox.c.path == _path,
        outbox.c.lane == _lane,
        outbox.c.tenant == bindparam("tenant", type_=Name),
        outbox.c.sent_at.is_(None),
        outbox.c.since <= _since,
        or_(outbox.c.since < _since, outbox.c.number < _number),
    )
    .limit(AHEAD_AT_MOST)
)
_count_own: Final = select(func.count()).select_from(_own.subquery())
_turns: Final = tuple(
    select(func.count()).select_from(
        heads.where(_tenants.c.value != bindparam("tenant", type_=Name))
        .limit(AHEAD_AT_MOST)
        .subquery()
    )
    for heads in _heads(_tenants, _tenants.c.value, outbox.c.number, at_most="turns")
)


async def ahead(session: Session, job: Job) -> int:
    """Those before it in its tenant's queue, and for each of these turns one of every other tenant."""
    place = (await session.run(_place, job=job.id)).one_or_none()
    if place is None:
        return 0
    own = {"tenant": job.tenant, "since": place.since, "number": place.number}
    where = {"path": job.path, "lane": job.lane}
    before = int((await session.run(_count_own, **where, **own)).scalar_one())
    turns = _turns[0] if session.postgresql else _turns[1]
    others = await session.run(turns, **where, tenant=job.tenant, turns=before + 1)
    return before + int(others.scalar_one())
