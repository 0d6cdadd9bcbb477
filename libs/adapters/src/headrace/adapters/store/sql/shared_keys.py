"""What the keys that users share are good for; that they are keys at all is said in `api_keys`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Row, bindparam, insert, select, update

from headrace.adapters.store.sql.expressions import batch
from headrace.adapters.store.sql.schema_around import api_keys
from headrace.adapters.store.sql.schema_users import shared_keys
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Name, Number, written
from headrace.contracts.ids import KeyId, UserId
from headrace.core.ports.users import SharedKey

_terms: Final = (
    *("name", "kudos", "expires_at"),
    *("max_image_pixels", "max_image_steps", "max_text_tokens"),
)
_columns: Final = ("key", "owner", "used", *_terms)
_new: Final = batch(**{name: shared_keys.c[name].type for name in _columns})
_insert: Final = insert(shared_keys).from_select(
    list(_columns), select(*(_new.c[name] for name in _columns))
)
_one: Final = shared_keys.c.key == bindparam("wanted", type_=Name)
_find: Final = select(shared_keys).where(_one).with_for_update()
_of: Final = (
    select(shared_keys)
    .join(api_keys, api_keys.c.id == shared_keys.c.key)
    .where(
        shared_keys.c.owner == bindparam("of", type_=Number),
        api_keys.c.revoked_at.is_(None),
    )
    .order_by(api_keys.c.created_at.desc(), shared_keys.c.key)
    .limit(bindparam("limit"))
)
_changed: Final = batch(**{name: shared_keys.c[name].type for name in ("key", *_terms)})
_save: Final = (
    update(shared_keys)
    .where(shared_keys.c.key == _changed.c.key)
    .values({shared_keys.c[name]: _changed.c[name] for name in _terms})
)
_spent: Final = batch(key=Name, used=Number)
_use: Final = (
    update(shared_keys)
    .where(shared_keys.c.key == _spent.c.key)
    .values(used=shared_keys.c.used + _spent.c.used)
)


async def insert_shared_key(session: Session, key: SharedKey) -> None:
    row = {"key": key.id, "owner": key.owner, "used": key.used, **_said(key)}
    await session.run_batch(_insert, [row])


async def find(session: Session, key: KeyId) -> SharedKey | None:
    row = (await session.run(_find, wanted=key)).one_or_none()
    return None if row is None else _to_shared_key(row)


async def of(session: Session, owner: UserId, limit: int) -> list[SharedKey]:
    return [_to_shared_key(row) for row in await session.run(_of, of=owner, limit=limit)]


async def save(session: Session, key: SharedKey) -> None:
    await session.run_batch(_save, [{"key": key.id, **_said(key)}])


async def use(session: Session, used: Mapping[KeyId, int]) -> None:
    if used:
        rows = [{"key": key, "used": amount} for key, amount in sorted(used.items())]
        await session.run_batch(_use, rows)


def _said(key: SharedKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "kudos": key.kudos,
        "expires_at": written(key.expires_at),
        "max_image_pixels": key.max_image_pixels,
        "max_image_steps": key.max_image_steps,
        "max_text_tokens": key.max_text_tokens,
    }


def _to_shared_key(row: Row[Any]) -> SharedKey:
    return SharedKey(
        id=KeyId(row.key),
        owner=UserId(row.owner),
        name=row.name,
        kudos=row.kudos,
        used=row.used,
        expires_at=row.expires_at,
        max_image_pixels=row.max_image_pixels,
        max_image_steps=row.max_image_steps,
        max_text_tokens=row.max_text_tokens,
    )
