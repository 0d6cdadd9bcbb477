"""Addresses of blobs and uploads that need no key: signed, for one right, and good for a while.

The secret is the store's, so that every process of an installation reads what another has signed.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlencode

from headrace.contracts.ids import BlobId, TenantId, UploadId
from headrace.core.ports.blobs import Blobs
from headrace.core.ports.store import Store

PREFIX: Final = "/api/v2/blobs"
Method = Literal["GET", "PUT"]
_Right = Literal["GET", "PUT", "UPLOAD"]
_NAME: Final = "blob-links"


class SignedLinks:
    """By the blob store's own address where it has one, else by ours."""

    def __init__(self, store: Store, blobs: Blobs) -> None:
        self._store, self._blobs = store, blobs
        self._secret: bytes | None = None

    async def link(
        self, base: str, tenant: TenantId, blob: BlobId, method: Method, *, within: timedelta
    ) -> str:
        """`base` is what comes before the path, as the client calls this server. Raises Unavailable."""
        theirs = await self._blobs.link(tenant, blob, method, within=within)
        if theirs is not None:
            return theirs
        query = await self._query(method, tenant, blob, within)
        return f"{base.rstrip('/')}{PREFIX}/{blob}?{query}"

    async def for_upload(
        self, base: str, tenant: TenantId, upload: UploadId, *, within: timedelta
    ) -> str:
        """Always by ours: it is no store's protocol. Raises Unavailable."""
        query = await self._query("UPLOAD", tenant, upload, within)
        return f"{base.rstrip('/')}/uploads/{upload}?{query}"

    async def is_good(
        self, right: _Right, tenant: TenantId, name: str, until: int, signature: str
    ) -> bool:
        """Signed by us for this, and not over. Raises Unavailable."""
        wanted = _signature(await self._read(), right, tenant, name, until)
        if not hmac.compare_digest(wanted.encode(), signature.encode()):
            return False
        async with self._store.begin() as tx:
            now: datetime = await tx.now()
        return now.timestamp() < until

    async def _query(self, right: _Right, tenant: TenantId, name: str, within: timedelta) -> str:
        secret = await self._read()
        async with self._store.begin() as tx:
            until = int((await tx.now() + within).timestamp())
        signature = _signature(secret, right, tenant, name, until)
        return urlencode({"of": tenant, "until": until, "signature": signature})

    async def _read(self) -> bytes:
        if self._secret is None:
            async with self._store.begin() as tx:
                self._secret = (await tx.secret(_NAME)).encode()
        return self._secret


def _signature(secret: bytes, right: _Right, tenant: TenantId, name: str, until: int) -> str:
    said = "\n".join((right, tenant, name, str(until)))
    return hmac.new(secret, said.encode(), hashlib.sha256).hexdigest()
