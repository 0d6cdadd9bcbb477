"""Take bytes in piece by piece, whoever receives them: keep each durably, then say how far it is.

Laws:
1. What was told to be received is kept: a client goes on from there after any crash, at any process.
2. One receives for an upload at a time. Who fell silent is overtaken once what it holds it for is over, and
   what it brings then counts no more.
3. It becomes a blob once, when all of it is there; nobody hears the blob's name before.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from headrace.contracts.ids import TenantId, UploadId
from headrace.core.errors import BlobNotFound, TooLarge, Unavailable
from headrace.core.errors_bulk import (
    TooManyPieces,
    TooManyUploads,
    UploadHeld,
    UploadMoved,
    UploadNotFound,
    WrongChecksum,
)
from headrace.core.ports.blobs import Blobs
from headrace.core.ports.store import Store, Transaction
from headrace.core.ports.uploads import Upload

PIECE_BYTES: Final = 8 * 2**20  # kept at once
MOST_PIECES: Final = 10_000
HELD_FOR: Final = timedelta(seconds=90)  # above what one piece may take


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    upload_bytes: int = 2**30
    tenant_bytes: int = 4 * 2**30  # under way
    kept: timedelta = timedelta(hours=24)  # after its last piece, or its end


@dataclass(frozen=True, slots=True)
class Desk:
    """What receiving takes."""

    store: Store
    blobs: Blobs
    bounds: Bounds
    new_id: Callable[[], str]


async def begin_upload(desk: Desk, tenant: TenantId, length: int, media_type: str) -> Upload:
    """Raises TooLarge, TooManyUploads."""
    if length > desk.bounds.upload_bytes:
        raise TooLarge("the upload", length, desk.bounds.upload_bytes)
    async with desk.store.begin() as tx:
        upload = Upload(
            id=UploadId(desk.new_id()),
            tenant=tenant,
            blob=desk.blobs.new_name(media_type),
            media_type=media_type,
            length=length,
            expires_at=await tx.now() + desk.bounds.kept,
        )
        kept = await tx.insert_upload(upload, most_bytes=desk.bounds.tenant_bytes)
    if kept is None:
        raise TooManyUploads(desk.bounds.tenant_bytes)
    return kept


async def find_upload(tx: Transaction, tenant: TenantId, upload: UploadId) -> Upload:
    """Raises UploadNotFound, also for another tenant's, and for one that is over for too long."""
    found = await tx.upload(upload)
    if found is None or found.tenant != tenant:
        raise UploadNotFound(upload)
    if found.expires_at is not None and found.expires_at <= await tx.now():
        raise UploadNotFound(upload)
    return found


async def receive(
    desk: Desk,
    upload: Upload,
    pieces: AsyncIterator[bytes],
    *,
    at: int,
    sha256: bytes | None = None,
) -> Upload:
    """Add what comes, each piece as it is kept, whatever becomes of the rest; with a digest all of it or none.

    Raises UploadHeld, UploadMoved, TooLarge, TooManyPieces, WrongChecksum, UploadNotFound, Unavailable; and
    what `pieces` raises.
    """
    holder = desk.new_id()
    async with desk.store.begin() as tx:
        until = await tx.now() + HELD_FOR
        held = await tx.hold_upload(upload.id, holder, until=until)
    if held is None:
        raise UploadHeld(upload.id)
    try:
        if held.received != at:
            raise UploadMoved(upload.id, held.received)
        return await _receive(desk, held, pieces, sha256)
    finally:
        with suppress(Unavailable):  # then it is free when what it is held for is over
            async with desk.store.begin() as tx:
                await tx.release_upload(upload.id, holder)


async def _receive(
    desk: Desk, held: Upload, pieces: AsyncIterator[bytes], sha256: bytes | None
) -> Upload:
    kept, digest = held, hashlib.sha256()
    async for data in _gathered(pieces):
        size = kept.received + len(data)
        if size > held.length:
            raise TooLarge("the upload", size, held.length)
        digest.update(data)
        kept = await _keep(desk, kept, data, counts=sha256 is None)
    if sha256 is not None:
        if digest.digest() != sha256:
            raise WrongChecksum(held.id)
        return await _count(desk, kept, before=held.received)
    return kept


async def _gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Large enough to be worth keeping. What came before the connection broke has come."""
    buffer = bytearray()
    try:
        async for piece in pieces:
            buffer += piece
            if len(buffer) >= PIECE_BYTES:
                yield bytes(buffer)
                buffer.clear()
    except Exception:
        if buffer:
            yield bytes(buffer)
        raise
    if buffer:
        yield bytes(buffer)


async def _keep(desk: Desk, upload: Upload, data: bytes, *, counts: bool) -> Upload:
    if upload.pieces >= MOST_PIECES:
        raise TooManyPieces(upload.id, MOST_PIECES)
    try:
        await desk.blobs.append(upload.tenant, upload.id, data, at=upload.received)
    except BlobNotFound as error:
        raise UploadNotFound(upload.id) from error
    after = replace(upload, received=upload.received + len(data), pieces=upload.pieces + 1)
    return await _count(desk, after, before=upload.received) if counts else after


async def _count(desk: Desk, upload: Upload, *, before: int) -> Upload:
    async with desk.store.begin() as tx:
        now = await tx.now()
        after = replace(upload, held_until=now + HELD_FOR, expires_at=now + desk.bounds.kept)
        if await tx.advance_upload(after, before=before):
            return after
        there = await tx.upload(upload.id)
    if there is None:  # it was deleted meanwhile, and nothing of it may stay
        await desk.blobs.abandon(upload.tenant, upload.id)
        raise UploadNotFound(upload.id)
    raise UploadMoved(upload.id, there.received)


async def finished(desk: Desk, upload: Upload) -> Upload:
    """As a blob, if all of it is there; again, for whoever did not hear. Raises UploadNotFound, Unavailable."""
    if upload.finished_at is not None or upload.received < upload.length:
        return upload
    try:
        await desk.blobs.join(upload.tenant, upload.id, upload.blob, size=upload.length)
    except BlobNotFound as error:
        raise UploadNotFound(upload.id) from error
    async with desk.store.begin() as tx:
        await tx.finish_upload(upload.id)
        found = await tx.upload(upload.id)
    if found is None:
        raise UploadNotFound(upload.id)
    return found


async def end_upload(desk: Desk, upload: Upload) -> None:
    """It is forgotten with what came of it; what is a blob already stays one. Raises Unavailable."""
    await desk.blobs.abandon(upload.tenant, upload.id)
    async with desk.store.begin() as tx:
        await tx.delete_uploads([upload.id])


async def end_expired(store: Store, blobs: Blobs, *, limit: int) -> int:
    """Those that nobody went on with; how many. What a store of blobs cannot remove now stays until it can."""
    async with store.begin() as tx:
        old = await tx.expired_uploads(limit=limit)
    gone: list[UploadId] = []
    with suppress(Unavailable):
        for each in old:
            await blobs.abandon(each.tenant, each.id)
            gone.append(each.id)
    async with store.begin() as tx:
        await tx.delete_uploads(gone)
    return len(gone)
