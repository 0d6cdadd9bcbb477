"""Uploads: each a row that says how much of it is kept, and who receives for it now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Integer, Row, bindparam, delete, func, null, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import batch, clock, ids
from headrace.adapters.store.sql.schema_uploads import UNDER_WAY, uploads
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name, Number, written
from headrace.contracts.ids import BlobId, TenantId, UploadId
from headrace.core.ports.uploads import Upload

ADMITTING: Final = 0x75706C6F6164  # "upload": an advisory lock has a number, not a name
MOST: Final = 100  # of a tenant, under way
_hold_door: Final = select(func.pg_advisory_xact_lock(ADMITTING))
_id: Final = bindparam("upload", type_=Name)
_mine: Final = uploads.c.id == _id

_columns: Final = ("id", "tenant", "blob", "media_type", "length", "received", "pieces")
_new: Final = batch(
    **{name: uploads.c[name].type for name in _columns}, expires_at=uploads.c.expires_at.type
)
_insert: Final = (
    insert(uploads)
    .from_select(
        [*_columns, "expires_at", "created_at"],
        select(*(_new.c[name] for name in (*_columns, "expires_at")), clock()),
    )
    .returning(uploads.c.created_at)
)
_under_way: Final = select(
    func.count().label("many"), func.coalesce(func.sum(uploads.c.length), 0).label("size")
).where(text(UNDER_WAY), uploads.c.tenant == bindparam("owner", type_=Name))


async def insert_upload(session: Session, upload: Upload, most_bytes: int) -> Upload | None:
    if session.postgresql:  # in SQLite every transaction is alone already
        await session.run(_hold_door)
    under_way = (await session.run(_under_way, owner=upload.tenant)).one()
    if under_way.many >= MOST or under_way.size + upload.length > most_bytes:
        return None
    row = {name: getattr(upload, name) for name in _columns}
    made = await session.run_batch(_insert, [row | {"expires_at": written(upload.expires_at)}])
    return replace(upload, created_at=made.scalar_one())


_find: Final = select(uploads).where(_mine)
_holder: Final = bindparam("holder", type_=Name)
_until: Final = bindparam("until", type_=Instant)
_hold: Final = (
    update(uploads)
    .where(_mine, or_(uploads.c.held_until.is_(None), uploads.c.held_until <= clock()))
    .values(held_by=_holder, held_until=_until)
    .returning(uploads)
)
_advance: Final = (
    update(uploads)
    .where(
        _mine,
        uploads.c.held_by == _holder,
        uploads.c.received == bindparam("before", type_=Number),
    )
    .values(
        received=bindparam("now_received", type_=Number),
        pieces=bindparam("now_pieces", type_=Integer),
        held_until=_until,
        expires_at=bindparam("kept_until", type_=Instant),
    )
    .returning(uploads.c.id)
)
_release: Final = (
    update(uploads)
    .where(_mine, uploads.c.held_by == _holder)
    .values(held_by=null(), held_until=null())
)
_finish: Final = (
    update(uploads).where(_mine, uploads.c.finished_at.is_(None)).values(finished_at=clock())
)
_expired: Final = (
    select(uploads)
    .where(uploads.c.expires_at <= clock())
    .order_by(uploads.c.expires_at)
    .limit(bindparam("limit", type_=Integer))
)
_delete: Final = delete(uploads).where(uploads.c.id.in_(ids))


async def find(session: Session, upload: UploadId) -> Upload | None:
    row = (await session.run(_find, upload=upload)).one_or_none()
    return None if row is None else _to_upload(row)


async def hold(session: Session, upload: UploadId, holder: str, until: datetime) -> Upload | None:
    found = await session.run(_hold, upload=upload, holder=holder, until=until)
    row = found.one_or_none()
    return None if row is None else _to_upload(row)


async def advance(session: Session, upload: Upload, before: int) -> bool:
    found = await session.run(
        _advance,
        upload=upload.id,
        holder=upload.held_by,
        before=before,
        now_received=upload.received,
        now_pieces=upload.pieces,
        until=upload.held_until,
        kept_until=upload.expires_at,
    )
    return found.one_or_none() is not None


async def release(session: Session, upload: UploadId, holder: str) -> None:
    await session.run(_release, upload=upload, holder=holder)


async def finish(session: Session, upload: UploadId) -> None:
    await session.run(_finish, upload=upload)


async def expired(session: Session, limit: int) -> list[Upload]:
    return [_to_upload(row) for row in await session.run(_expired, limit=limit)]


async def remove(session: Session, gone: Sequence[UploadId]) -> None:
    if gone:
        await session.run_batch(_delete, [{"id": each} for each in gone])


def _to_upload(row: Row[Any]) -> Upload:
    return Upload(
        id=UploadId(row.id),
        tenant=TenantId(row.tenant),
        blob=BlobId(row.blob),
        media_type=row.media_type,
        length=row.length,
        received=row.received,
        pieces=row.pieces,
        held_by=row.held_by,
        held_until=row.held_until,
        expires_at=row.expires_at,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
