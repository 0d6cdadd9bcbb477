"""API keys: kept by their digest, found by it, revoked for ever."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, func, literal, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import batch, clock, ids
from headrace.adapters.store.sql.schema_around import api_keys
from headrace.adapters.store.sql.schema_remote import secrets as secrets_table
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name, written
from headrace.contracts.ids import KeyId, TenantId
from headrace.core.ports.keys import ApiKey, Scope

_columns: Final = ("id", "tenant", "name", "scopes", "digest", "hint", "expires_at")
_new: Final = batch(**{name: api_keys.c[name].type for name in _columns})
_insert: Final = (
    insert(api_keys)
    .from_select([*_columns, "created_at"], select(*(_new.c[name] for name in _columns), clock()))
    .returning(api_keys.c.created_at)
)
_shown: Final = batch(digest=Name)
LIVE: Final = (
    api_keys.c.revoked_at.is_(None),
    or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > clock()),
)
_live: Final = select(api_keys).where(api_keys.c.digest.in_(select(_shown.c.digest)), *LIVE)
_one: Final = api_keys.c.id == bindparam("key", type_=Name)
_find: Final = select(api_keys).where(_one)
_revoke: Final = (
    update(api_keys)
    .where(_one)
    .values(revoked_at=func.coalesce(api_keys.c.revoked_at, clock()))
    .returning(*api_keys.c)
)
_since: Final = bindparam("since", type_=Instant)
_use: Final = (
    update(api_keys)
    .where(
        api_keys.c.id.in_(ids),
        or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < _since),
    )
    .values(last_used_at=clock())
)

_kept: Final = secrets_table.c.name == bindparam("called", type_=Name)
_secret: Final = select(secrets_table.c.value).where(_kept)
_make_secret: Final = (
    insert(secrets_table)
    .values(name=bindparam("called", type_=Name), value=bindparam("made"))
    .on_conflict_do_nothing()
)


async def secret(session: Session, name: str) -> str:
    """Of two that make it at once, both read the one that was first."""
    await session.run(_make_secret, called=name, made=secrets.token_urlsafe(32))
    found: str = (await session.run(_secret, called=name)).scalar_one()
    return found


async def insert_key(session: Session, key: ApiKey, digest: str) -> ApiKey:
    row = {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "digest": digest,
        "hint": key.hint,
        "expires_at": written(key.expires_at),
    }
    made = (await session.run_batch(_insert, [row])).scalar_one()
    return replace(key, created_at=made)


async def live_keys(session: Session, digests: Sequence[str]) -> dict[str, ApiKey]:
    rows = await session.run_batch(_live, [{"digest": digest} for digest in digests])
    return {row.digest: _to_key(row) for row in rows}


async def find_key(session: Session, key: KeyId) -> ApiKey | None:
    row = (await session.run(_find, key=key)).one_or_none()
    return None if row is None else _to_key(row)


async def page(
    session: Session, tenant: TenantId | None, before: tuple[datetime, KeyId] | None, limit: int
) -> list[ApiKey]:
    wanted = select(api_keys)
    if tenant is not None:
        wanted = wanted.where(api_keys.c.tenant == tenant)
    if before is not None:
        created_at, key = before
        older = tuple_(literal(created_at, Instant), literal(key, Name))
        wanted = wanted.where(tuple_(api_keys.c.created_at, api_keys.c.id) < older)
    newest_first = (api_keys.c.created_at.desc(), api_keys.c.id.desc())
    rows = await session.run(wanted.order_by(*newest_first).limit(limit))
    return [_to_key(row) for row in rows]


async def revoke(session: Session, key: KeyId) -> ApiKey | None:
    row = (await session.run(_revoke, key=key)).one_or_none()
    return None if row is None else _to_key(row)


async def use_keys(session: Session, keys: Sequence[KeyId], unless_since: datetime) -> None:
    if keys:
        await session.run_batch(_use, [{"id": key} for key in keys], since=unless_since)


def _to_key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=KeyId(row.id),
        tenant=TenantId(row.tenant),
        name=row.name,
        scopes=frozenset(
            each for each in Scope if each in row.scopes
        ),  # a newer build's are left out
        hint=row.hint,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
