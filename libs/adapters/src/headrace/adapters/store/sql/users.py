"""Users: found by number or tenant, locked in the order of their numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Executable,
    Row,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import batch, clock, ids
from headrace.adapters.store.sql.schema import PAID, jobs
from headrace.adapters.store.sql.schema_remote import remote_workers
from headrace.adapters.store.sql.schema_users import users
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Name, Number
from headrace.contracts.ids import TenantId, UserId, WorkerId
from headrace.core.ports.users import User

_said: Final = ("alias", "concurrency", "trusted", "moderator", "floor")
_new: Final = batch(**{name: users.c[name].type for name in ("tenant", *_said)})
_zero: Final[ColumnElement[Any]] = literal_column("0")
_insert: Final = (
    insert(users)
    .from_select(
        ["tenant", *_said, "balance", "held", "created_at"],
        select(*(_new.c[name] for name in ("tenant", *_said)), _zero, _zero, clock()).where(true()),
    )
    .on_conflict_do_nothing(index_elements=[users.c.tenant])
    .returning(*users.c)
)
_find: Final = select(users).where(users.c.number == bindparam("number", type_=Number))
_of: Final = select(users).where(users.c.tenant == bindparam("tenant", type_=Name))
_page: Final = (
    select(users)
    .where(users.c.number > bindparam("after", type_=Number))
    .order_by(users.c.number)
    .limit(bindparam("limit"))
)
_changed: Final = batch(number=Number, **{name: users.c[name].type for name in _said})
_save: Final = (
    update(users)
    .where(users.c.number == _changed.c.number)
    .values({users.c[name]: _changed.c[name] for name in _said})
)
_wanted: Final = batch(number=Number, tenant=Name)
_known: Final = (
    select(users)
    .where(
        or_(
            users.c.number.in_(select(_wanted.c.number)),
            users.c.tenant.in_(select(_wanted.c.tenant)),
        )
    )
    .order_by(users.c.number)
)
_lock: Final = _known.with_for_update()
_open_paid: Final = select(func.count()).select_from(
    select(jobs.c.tenant)
    .where(text(PAID), jobs.c.tenant == bindparam("tenant", type_=Name))
    .limit(bindparam("limit"))
    .subquery()
)


async def insert_user(session: Session, user: User) -> User | None:
    rows = await session.run_batch(_insert, [{"tenant": user.tenant, **_row(user)}])
    row = rows.one_or_none()
    return None if row is None else _to_user(row)


async def find(session: Session, user: UserId) -> User | None:
    row = (await session.run(_find, number=user)).one_or_none()
    return None if row is None else _to_user(row)


async def find_of(session: Session, tenant: TenantId) -> User | None:
    row = (await session.run(_of, tenant=tenant)).one_or_none()
    return None if row is None else _to_user(row)


async def page(session: Session, after: UserId, limit: int) -> list[User]:
    return [_to_user(row) for row in await session.run(_page, after=after, limit=limit)]


async def save(session: Session, user: User) -> None:
    await session.run_batch(_save, [{"number": user.id, **_row(user)}])


async def accounts(
    session: Session, numbers: Sequence[UserId], tenants: Sequence[TenantId]
) -> list[User]:
    return await _all_of(session, _lock, numbers, tenants)


async def known(
    session: Session, numbers: Collection[UserId], tenants: Collection[TenantId]
) -> list[User]:
    return await _all_of(session, _known, numbers, tenants)


async def _all_of(
    session: Session,
    statement: Executable,
    numbers: Collection[UserId],
    tenants: Collection[TenantId],
) -> list[User]:
    wanted: list[dict[str, object]] = [{"number": number, "tenant": None} for number in numbers]
    wanted += [{"number": None, "tenant": tenant} for tenant in tenants]
    return [_to_user(row) for row in await session.run_batch(statement, wanted)] if wanted else []


async def open_paid(session: Session, tenant: TenantId, at_most: int) -> int:
    return int((await session.run(_open_paid, tenant=tenant, limit=at_most)).scalar_one())


_owners: Final = select(remote_workers.c.id, remote_workers.c.tenant).where(
    remote_workers.c.id.in_(ids)
)


async def owners(session: Session, workers: Sequence[WorkerId]) -> dict[WorkerId, TenantId]:
    if not workers:
        return {}
    rows = await session.run_batch(_owners, [{"id": worker} for worker in workers])
    return {WorkerId(row.id): TenantId(row.tenant) for row in rows}


def _row(user: User) -> dict[str, Any]:
    return {
        "alias": user.alias,
        "concurrency": user.concurrency,
        "trusted": int(user.trusted),
        "moderator": int(user.moderator),
        "floor": user.floor,
    }


def _to_user(row: Row[Any]) -> User:
    return User(
        id=UserId(row.number),
        tenant=TenantId(row.tenant),
        alias=row.alias,
        concurrency=row.concurrency,
        trusted=bool(row.trusted),
        moderator=bool(row.moderator),
        floor=row.floor,
        balance=row.balance,
        held=row.held,
        created_at=row.created_at,
    )
