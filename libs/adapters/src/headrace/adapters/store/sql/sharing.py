"""What tenants get and what they have: terms, caps, backlogs; and lanes that are paused."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    bindparam,
    case,
    func,
    literal_column,
    null,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import clock
from headrace.adapters.store.sql.schema import (
    HELD,
    NOT_STARTED,
    OFFERED,
    UNSENT,
    jobs,
    lanes,
    outbox,
    tenants,
)
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Name
from headrace.contracts.ids import Lane, TenantId
from headrace.contracts.producing import OUTSIDE
from headrace.core.fair_share import Share
from headrace.core.job import Job
from headrace.core.ports.store import Crowd, Terms

RELEASING: Final = 0x72656C65617365  # "release": an advisory lock has a number, not a name

_path: Final = bindparam("path", type_=Name)
_lane: Final = bindparam("lane", type_=Name)
_tenant: Final = bindparam("tenant", type_=Name)
_limit: Final = bindparam("limit", type_=Integer)
_outside: Final = literal_column(f"'{OUTSIDE}'", Name)
_hold: Final = select(func.pg_advisory_xact_lock(RELEASING))


async def hold_release(session: Session) -> None:
    """In SQLite every transaction is alone already."""
    if session.postgresql:
        await session.run(_hold)


def _having_rows() -> Select[Any]:
    return select(func.min(outbox.c.tenant).label("tenant")).where(
        text(UNSENT), outbox.c.path == _path, outbox.c.lane == _lane
    )


def _ring() -> Select[Any]:
    """By one probe a tenant, no more of them than are asked for."""
    one = literal_column("1", Integer)
    first = _having_rows().where(outbox.c.tenant >= bindparam("start", type_=Name))
    ring = first.add_columns(one.label("place")).cte("ring", recursive=True)
    following = _having_rows().where(outbox.c.tenant > ring.c.tenant).scalar_subquery()
    further = select(following, ring.c.place + one).where(
        ring.c.tenant.is_not(None), ring.c.place < _limit
    )
    return select(ring.union_all(further))


def _taken(tenant: ColumnElement[Any], lane: ColumnElement[Any] | None) -> ColumnElement[int]:
    """How many of a tenant's jobs run or are offered. What is produced outside takes no slot."""
    held = (
        select(func.count())
        .select_from(jobs)
        .where(text(HELD), jobs.c.tenant == tenant, jobs.c.lane != _outside)
    )
    offers = (
        select(func.count())
        .select_from(outbox)
        .where(
            text(OFFERED),
            outbox.c.tenant == tenant,
            outbox.c.sent_at.is_not(None) | (outbox.c.reserved_until > clock()),
        )
    )
    if lane is not None:
        held, offers = held.where(jobs.c.lane == lane), offers.where(outbox.c.lane == lane)
    return held.scalar_subquery() + offers.scalar_subquery()


def _room(cap: ColumnElement[Any], taken: ColumnElement[int]) -> ColumnElement[Any]:
    """Only counted where there is a cap."""
    return case((cap.is_not(None), cap - taken), else_=null())


_standing: Final = _ring().subquery("standing")
_shares: Final = (
    select(
        _standing.c.tenant,
        tenants.c.weight,
        _room(tenants.c.max_running, _taken(_standing.c.tenant, None)).label("room"),
        _room(tenants.c.max_running_per_lane, _taken(_standing.c.tenant, _lane)).label("in_lane"),
    )
    .select_from(_standing.outerjoin(tenants, tenants.c.name == _standing.c.tenant))
    .where(_standing.c.tenant.is_not(None))
    .order_by(_standing.c.tenant)
)


async def shares(
    session: Session, path: str, lane: Lane, start: TenantId | None, limit: int
) -> list[Share]:
    rows = await session.run(_shares, path=path, lane=lane, start=start or "", limit=limit)
    return [
        Share(
            TenantId(row.tenant),
            row.weight or 1,
            min((each for each in (row.room, row.in_lane) if each is not None), default=None),
        )
        for row in rows
    ]


_terms: Final = select(tenants).where(tenants.c.name == _tenant)
_TERMS: Final = ("weight", "max_running", "max_running_per_lane", "max_queued", "retain_days")
_insert_terms: Final = insert(tenants).values(
    name=_tenant, **{name: bindparam(name, type_=Integer) for name in _TERMS}
)
_set_terms: Final = _insert_terms.on_conflict_do_update(
    index_elements=[tenants.c.name],
    set_={name: _insert_terms.excluded[name] for name in _TERMS},
)


async def terms(session: Session, tenant: TenantId) -> Terms:
    row = (await session.run(_terms, tenant=tenant)).mappings().one_or_none()
    return Terms() if row is None else Terms(**{name: row[name] for name in _TERMS})


async def set_terms(session: Session, tenant: TenantId, wished: Terms) -> None:
    given = {name: getattr(wished, name) for name in _TERMS}
    await session.run(_set_terms, tenant=tenant, **given)
    session.stirred = True


_insert_pause: Final = insert(lanes).values(name=_lane, paused_at=clock())
_pause: Final = _insert_pause.on_conflict_do_update(
    index_elements=[lanes.c.name],
    set_={"paused_at": func.coalesce(lanes.c.paused_at, _insert_pause.excluded.paused_at)},
).returning(lanes.c.paused_at)
_resume: Final = update(lanes).where(lanes.c.name == _lane).values(paused_at=null())
_paused: Final = select(lanes).where(lanes.c.paused_at.is_not(None)).order_by(lanes.c.name)


async def pause(session: Session, lane: Lane) -> datetime:
    at: datetime = (await session.run(_pause, lane=lane)).scalar_one()
    return at


async def resume(session: Session, lane: Lane) -> None:
    await session.run(_resume, lane=lane)
    session.stirred = True


async def paused(session: Session) -> dict[Lane, datetime]:
    return {Lane(row.name): row.paused_at for row in await session.run(_paused)}


_troubles: Final = select(lanes).where(lanes.c.trouble.is_not(None))
_insert_trouble: Final = insert(lanes).values(name=_lane, trouble=bindparam("trouble"))
_note_trouble: Final = _insert_trouble.on_conflict_do_update(
    index_elements=[lanes.c.name], set_={"trouble": _insert_trouble.excluded.trouble}
)


async def troubles(session: Session) -> dict[Lane, str]:
    return {Lane(row.name): row.trouble for row in await session.run(_troubles)}


async def note_trouble(session: Session, lane: Lane, trouble: str | None) -> None:
    await session.run(_note_trouble, lane=lane, trouble=trouble)


# In the order of its index, so that nothing else is read to find them.
_not_started: Final = (
    select(jobs.c.tenant).where(text(NOT_STARTED)).order_by(jobs.c.tenant).limit(_limit)
)
_of_all: Final = select(func.count()).select_from(_not_started.subquery())
_of_one: Final = select(func.count()).select_from(
    _not_started.where(jobs.c.tenant == _tenant).subquery()
)


async def backlog(session: Session, tenant: TenantId | None, at_most: int) -> int:
    if tenant is None:
        return int((await session.run(_of_all, limit=at_most)).scalar_one())
    return int((await session.run(_of_one, tenant=tenant, limit=at_most)).scalar_one())


_running: Final = (
    select(func.count()).select_from(jobs).where(text(HELD), jobs.c.lane == _lane).scalar_subquery()
)
_offers: Final = (
    select(func.count())
    .select_from(outbox)
    .where(
        text(OFFERED),
        outbox.c.path == _path,
        outbox.c.lane == _lane,
        outbox.c.sent_at.is_not(None) | (outbox.c.reserved_until > clock()),
    )
    .scalar_subquery()
)
_offered_at: Final = (
    select(
        case(
            (outbox.c.reserved_until > clock(), clock()),  # it is on its way at this moment
            else_=outbox.c.sent_at,
        )
    )
    .where(outbox.c.job == bindparam("job", type_=Name))
    .scalar_subquery()
)
_crowd: Final = select(
    _offered_at.label("offered_at"),
    _running.label("running_in_lane"),
    _offers.label("offered_in_lane"),
    _taken(_tenant, None).label("taken_by_tenant"),
    _taken(_tenant, _lane).label("taken_by_tenant_in_lane"),
)


async def crowd(session: Session, job: Job) -> Crowd:
    found = await session.run(_crowd, job=job.id, path=job.path, lane=job.lane, tenant=job.tenant)
    return Crowd(**found.mappings().one())
