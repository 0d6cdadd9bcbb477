"""Inputs and outputs in full: what was too large for a row is kept as a blob in its place."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from headrace.contracts.ids import BlobId, TenantId
from headrace.core.errors import BlobNotFound
from headrace.core.ports.blobs import Blobs


async def whole(
    blobs: Blobs, tenant: TenantId, value: dict[str, Any], stands_for: str
) -> dict[str, Any]:
    """`stands_for` is INPUT_BLOB or OUTPUT_BLOB. Of a blob that is gone, what stood for it."""
    if set(value) != {stands_for}:
        return value
    try:
        blob = await blobs.get(tenant, BlobId(value[stands_for]))
    except BlobNotFound:
        return value
    return await asyncio.to_thread(msgspec.json.decode, blob.data, type=dict[str, Any])
