"""Who wants to be told, and the secrets that they know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import batch, clock, ids
from headrace.adapters.store.sql.schema_webhooks import webhook_endpoints as endpoints
from headrace.adapters.store.sql.schema_webhooks import webhook_secrets as secrets
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name, written
from headrace.contracts.ids import EndpointId, TenantId
from headrace.core.ports.webhooks import Endpoint, Signing

_columns: Final = ("id", "tenant", "url", "events", "note")
_new: Final = batch(**{name: endpoints.c[name].type for name in _columns})
_insert: Final = (
    insert(endpoints)
    .from_select([*_columns, "created_at"], select(*(_new.c[name] for name in _columns), clock()))
    .returning(endpoints.c.created_at)
)
_mine: Final = (
    endpoints.c.tenant == bindparam("owner", type_=Name),
    endpoints.c.id == bindparam("endpoint", type_=Name),
)
_find: Final = select(endpoints).where(*_mine).with_for_update()
_known: Final = select(endpoints).where(endpoints.c.id.in_(ids))
_delete: Final = delete(endpoints).where(*_mine).returning(endpoints.c.id)
_moving: Final = ("url", "events", "note", "failing_since", "disabled_at", "disabled_why")
_changed: Final = batch(id=Name, **{name: endpoints.c[name].type for name in _moving})
_save: Final = (
    update(endpoints)
    .where(endpoints.c.id == _changed.c.id)
    .values({endpoints.c[name]: _changed.c[name] for name in _moving})
)


async def insert_endpoint(session: Session, endpoint: Endpoint) -> Endpoint:
    made = (await session.run_batch(_insert, [_row(endpoint, _columns)])).scalar_one()
    return replace(endpoint, created_at=made)


async def find(session: Session, tenant: TenantId, endpoint: EndpointId) -> Endpoint | None:
    row = (await session.run(_find, owner=tenant, endpoint=endpoint)).one_or_none()
    return None if row is None else to_endpoint(row)


async def known(session: Session, wanted: Sequence[EndpointId]) -> dict[EndpointId, Endpoint]:
    if not wanted:
        return {}
    rows = await session.run_batch(_known, [{"id": each} for each in wanted])
    return {EndpointId(row.id): to_endpoint(row) for row in rows}


async def page(
    session: Session,
    tenant: TenantId | None,
    before: tuple[datetime, EndpointId] | None,
    limit: int,
) -> list[Endpoint]:
    wanted = select(endpoints)
    if tenant is not None:
        wanted = wanted.where(endpoints.c.tenant == tenant)
    if before is not None:
        older = tuple_(literal(before[0], Instant), literal(before[1], Name))
        wanted = wanted.where(tuple_(endpoints.c.created_at, endpoints.c.id) < older)
    newest_first = (endpoints.c.created_at.desc(), endpoints.c.id.desc())
    rows = await session.run(wanted.order_by(*newest_first).limit(limit))
    return [to_endpoint(row) for row in rows]


async def save(session: Session, endpoint: Endpoint) -> None:
    await session.run_batch(_save, [_row(endpoint, ("id", *_moving))])


async def remove(session: Session, tenant: TenantId, endpoint: EndpointId) -> bool:
    gone = (await session.run(_delete, owner=tenant, endpoint=endpoint)).one_or_none()
    if gone is not None:
        await session.run(_forget, owner=tenant, whose=endpoint)
    return gone is not None


_signs: Final = (
    secrets.c.tenant == bindparam("owner", type_=Name),
    secrets.c.endpoint == bindparam("whose", type_=Name),
)
_read: Final = select(secrets).where(*_signs)
_forget: Final = delete(secrets).where(*_signs)
_make: Final = (
    insert(secrets)
    .values(
        tenant=bindparam("owner", type_=Name),
        endpoint=bindparam("whose", type_=Name),
        secret=bindparam("made", type_=secrets.c.secret.type),
    )
    .on_conflict_do_nothing()
)
_turn: Final = (
    update(secrets)
    .where(*_signs, secrets.c.secret == bindparam("before", type_=secrets.c.secret.type))
    .values(
        secret=bindparam("new", type_=secrets.c.secret.type),
        old=bindparam("before", type_=secrets.c.old.type),
        old_until=bindparam("until", type_=Instant),
    )
)


async def signing(
    session: Session, tenant: TenantId, endpoint: EndpointId, fresh: Callable[[], str]
) -> Signing:
    """Two who are first at once agree: the one that waited for the other reads its secret."""
    row = (await session.run(_read, owner=tenant, whose=endpoint)).one_or_none()
    if row is None:
        await session.run(_make, owner=tenant, whose=endpoint, made=fresh())
        row = (await session.run(_read, owner=tenant, whose=endpoint)).one()
    return Signing(row.secret, row.old, row.old_until)


async def save_signing(
    session: Session, tenant: TenantId, endpoint: EndpointId, signing: Signing
) -> None:
    values = {"new": signing.secret, "before": signing.old, "until": signing.old_until}
    await session.run(_turn, owner=tenant, whose=endpoint, **values)


def to_endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        id=EndpointId(row.id),
        tenant=TenantId(row.tenant),
        url=row.url,
        events=tuple(row.events),
        note=row.note,
        failing_since=row.failing_since,
        disabled_at=row.disabled_at,
        disabled_why=row.disabled_why,
        created_at=row.created_at,
    )


def _row(endpoint: Endpoint, names: Sequence[str]) -> dict[str, Any]:
    row = {
        "id": endpoint.id,
        "tenant": endpoint.tenant,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "note": endpoint.note,
        "failing_since": written(endpoint.failing_since),
        "disabled_at": written(endpoint.disabled_at),
        "disabled_why": endpoint.disabled_why,
    }
    return {name: row[name] for name in names}
