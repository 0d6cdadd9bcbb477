"""Blobs in a dictionary, which can be out of reach."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from headrace.contracts.ids import BlobId, TenantId
from headrace.core.errors import BlobNotFound, Unavailable
from headrace.core.ports.blobs import Blob, BlobPage, BlobRef


@dataclass
class MemoryBlobs:
    kept: dict[tuple[TenantId, BlobId], Blob] = field(default_factory=dict)
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

    async def read(self, tenant: TenantId, blob: BlobId, start: int, length: int) -> bytes:
        return (await self.get(tenant, blob)).data[start : start + length]

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
