"""Bytes that are too large for a message or a row: inputs, pictures, long results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from headrace.contracts.ids import BlobId, TenantId


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

    async def read(self, tenant: TenantId, blob: BlobId, start: int, length: int) -> bytes:
        """The bytes from `start` on, at most `length`; what lies beyond its end is left out.

        Raises BlobNotFound, also for another tenant's; Unavailable.
        """

    async def delete(self, tenant: TenantId, blob: BlobId) -> None:
        """Idempotent. Raises Unavailable."""

    async def page(self, *, after: str, limit: int, of: TenantId | None = None) -> BlobPage:
        """All tenants' blobs, or one's, behind this place ('' is before the first). Raises Unavailable."""

    async def ping(self) -> None:
        """Raises Unavailable."""
