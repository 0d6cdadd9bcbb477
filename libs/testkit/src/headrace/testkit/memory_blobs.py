"""Blobs in a dictionary, which can be out of reach."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from headrace.contracts.ids import BlobId, TenantId, UploadId
from headrace.core.errors import BlobNotFound, Unavailable
from headrace.core.ports.blobs import Blob, BlobPage, BlobRef, Facts


@dataclass
class MemoryBlobs:
    kept: dict[tuple[TenantId, BlobId], Blob] = field(default_factory=dict)
    pieces: dict[tuple[TenantId, UploadId], bytes] = field(default_factory=dict)
    away: bool = False
    age_s: float = 0.0

    async def put(self, tenant: TenantId, blob: Blob) -> BlobId:
        await self.ping()
        name = BlobId(f"blob-{len(self.kept) + 1}")
        self.kept[tenant, name] = blob
        return name

    async def put_as(self, tenant: TenantId, blob: BlobId, data: bytes) -> None:
        await self.ping()
        self.kept[tenant, blob] = Blob("image/webp", data)

    async def link(
        self,
        tenant: TenantId,  # the port's signature
        blob: BlobId,
        method: Literal["GET", "PUT"],
        *,
        within: timedelta,
    ) -> str | None:
        return None

    async def get(self, tenant: TenantId, blob: BlobId) -> Blob:
        await self.ping()
        if (tenant, blob) not in self.kept:
            raise BlobNotFound(blob)
        return self.kept[tenant, blob]

    async def facts(self, tenant: TenantId, blob: BlobId) -> Facts:
        found = await self.get(tenant, blob)
        digest = hashlib.sha256(found.data).hexdigest()
        return Facts(found.media_type, len(found.data), digest)

    async def read(self, tenant: TenantId, blob: BlobId, *, start: int, length: int) -> bytes:
        return (await self.get(tenant, blob)).data[start : start + length]

    async def append(self, tenant: TenantId, upload: UploadId, data: bytes, *, at: int) -> None:
        await self.ping()
        before = self.pieces.get((tenant, upload), b"")
        if len(before) < at:
            raise BlobNotFound(upload)
        self.pieces[tenant, upload] = before[:at] + data

    async def join(self, tenant: TenantId, upload: UploadId, blob: BlobId, *, size: int) -> None:
        await self.ping()
        pieces = self.pieces.get((tenant, upload), b"")
        if len(pieces) != size:
            raise BlobNotFound(upload)
        self.kept[tenant, blob] = Blob("image/webp", pieces)

    async def abandon(self, tenant: TenantId, upload: UploadId) -> None:
        await self.ping()
        self.pieces.pop((tenant, upload), None)

    def new_name(self, media_type: str) -> BlobId:
        return BlobId(f"blob-{len(self.kept) + 1}")

    async def delete(self, tenant: TenantId, blob: BlobId) -> None:
        await self.ping()
        self.kept.pop((tenant, blob), None)

    async def page(self, *, after: str, limit: int, of: TenantId | None = None) -> BlobPage:
        """As old as `age_s` says, all of them."""
        await self.ping()
        places = sorted((f"{tenant}/{blob}", tenant, blob) for tenant, blob in self.kept)
        found = [each for each in places if each[0] > after and of in {None, each[1]}][:limit]
        refs = [(BlobRef(tenant, blob), self.age_s) for _, tenant, blob in found]
        return BlobPage(refs, found[-1][0] if len(found) >= limit else None)

    async def ping(self) -> None:
        if self.away:
            raise Unavailable("blobs", "a test says so")
