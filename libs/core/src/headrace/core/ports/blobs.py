"""Bytes that are too large for a message or a row: inputs, pictures, long results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from headrace.contracts.ids import BlobId, TenantId, UploadId


@dataclass(frozen=True, slots=True)
class Blob:
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class BlobRef:
    tenant: TenantId
    blob: BlobId


@dataclass(frozen=True, slots=True)
class BlobPage:
    """Blobs in the order of their places, each with the seconds since it was put."""

    blobs: Sequence[tuple[BlobRef, float]]
    next: str | None  # where to go on; None: that was the last page


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a blob without reading it."""

    media_type: str
    size: int
    sha256: str | None  # in hex; None: a build that did not keep it put it there


class Blobs(Protocol):
    async def put(self, tenant: TenantId, blob: Blob) -> BlobId:
        """Keep it durably under a new unguessable id (`<uuid>.<ext>`). Raises TooLarge, Unavailable."""

    async def put_as(self, tenant: TenantId, blob: BlobId, data: bytes) -> None:
        """Keep it under a name of that form that somebody chose; again is over it.

        Raises BlobNotFound when that is no name of a blob, TooLarge, Unavailable.
        """

    async def link(
        self, tenant: TenantId, blob: BlobId, method: Literal["GET", "PUT"], *, within: timedelta
    ) -> str | None:
        """An address where that can be done for so long without a key. None: there is none, serve it yourself.

        Raises Unavailable.
        """

    async def get(self, tenant: TenantId, blob: BlobId) -> Blob:
        """Raises BlobNotFound, also for another tenant's; Unavailable."""

    async def facts(self, tenant: TenantId, blob: BlobId) -> Facts:
        """Raises BlobNotFound, also for another tenant's; Unavailable."""

    async def read(self, tenant: TenantId, blob: BlobId, *, start: int, length: int) -> bytes:
        """So many of its bytes, fewer at its end. Raises BlobNotFound, Unavailable."""

    async def append(self, tenant: TenantId, upload: UploadId, data: bytes, *, at: int) -> None:
        """Keep a piece of an upload durably; what a writer that gave up had put behind `at` counts no more.

        Raises BlobNotFound when the bytes before it are not there, Unavailable.
        """

    async def join(self, tenant: TenantId, upload: UploadId, blob: BlobId, *, size: int) -> None:
        """Make an upload of so many bytes a blob of this name; again changes nothing.

        Raises BlobNotFound when bytes are missing, Unavailable.
        """

    async def abandon(self, tenant: TenantId, upload: UploadId) -> None:
        """Remove its pieces. Idempotent. Raises Unavailable."""

    def new_name(self, media_type: str) -> BlobId:
        """An unguessable one, for what is joined later."""

    async def delete(self, tenant: TenantId, blob: BlobId) -> None:
        """Idempotent. Raises Unavailable."""

    async def page(self, *, after: str, limit: int, of: TenantId | None = None) -> BlobPage:
        """All tenants' blobs, or one's, behind this place ('' is before the first). Raises Unavailable."""

    async def ping(self) -> None:
        """Raises Unavailable."""
