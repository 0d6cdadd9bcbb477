"""Uploads: bytes that come piece by piece, over as many connections and processes as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from headrace.contracts.ids import BlobId, TenantId, UploadId


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """`blob` names what it will be; nobody is told before it is."""

    id: UploadId
    tenant: TenantId
    blob: BlobId
    media_type: str
    length: int
    received: int = 0  # these bytes are kept
    pieces: int = 0
    held_by: str | None = None  # whoever receives for it
    held_until: datetime | None = None
    expires_at: datetime | None = None
    created_at: datetime | None = None  # set by the store, as is the next
    finished_at: datetime | None = None  # since then it is a blob


class Uploads(Protocol):
    """The part of a transaction that keeps uploads."""

    async def insert_upload(self, upload: Upload, *, most_bytes: int) -> Upload | None:
        """None: its tenant has so many bytes under way already, or as many uploads as it may."""

    async def upload(self, upload: UploadId) -> Upload | None: ...

    async def hold_upload(self, upload: UploadId, holder: str, *, until: datetime) -> Upload | None:
        """For one who receives at a time. None: somebody else does, or it is not there."""

    async def advance_upload(self, upload: Upload, *, before: int) -> bool:
        """What was received and until when it is held and kept. False: it is not held by this one any more."""

    async def release_upload(self, upload: UploadId, holder: str) -> None: ...

    async def finish_upload(self, upload: UploadId) -> None:
        """It is a blob; again changes nothing."""

    async def expired_uploads(self, *, limit: int) -> list[Upload]:
        """The oldest first."""

    async def delete_uploads(self, uploads: Sequence[UploadId]) -> None:
        """Idempotent."""
