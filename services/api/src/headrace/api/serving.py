"""A blob as an answer: whole or a range of it, with its digest, and nothing at all for who has it already."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncGenerator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from headrace.api.problems import Problem, Refused
from headrace.contracts.ids import BlobId, TenantId
from headrace.core.errors import BlobNotFound
from headrace.core.ports.blobs import Blobs, Facts

_BLOB: Final = re.compile(r"[0-9a-f-]{36}(\.[a-z0-9]{1,10})?")
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_AT_ONCE: Final = 2**20  # bytes in memory
# What somebody uploaded is never a page of ours: it may not run scripts here.
_INERT: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=31536000, immutable",
    "Accept-Ranges": "bytes",
}
DESCRIBED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The bytes, as they were sent; `Repr-Digest` and `ETag` are their SHA-256.",
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    },
    206: {
        "description": "Those that `Range` asks for.",
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "`If-None-Match` has it already."},
}


def is_blob(name: str) -> bool:
    return _BLOB.fullmatch(name) is not None


async def blob_answer(request: Request, blobs: Blobs, tenant: TenantId, blob: str) -> Response:
    """Raises BlobNotFound, Refused, Unavailable."""
    if not is_blob(blob):
        raise BlobNotFound(blob[:64])
    facts = await blobs.facts(tenant, BlobId(blob))
    headers = {**_INERT, **digests(facts)}
    tag = headers.get("ETag")
    if tag is not None and tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    part = _wanted(request, facts.size, tag)
    start, end = part or (0, facts.size)
    headers["Content-Length"] = str(end - start)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{facts.size}"
    first = await blobs.read(tenant, BlobId(blob), start=start, length=min(_AT_ONCE, end - start))
    body = _pieces(blobs, tenant, BlobId(blob), first, start, end)
    status = 200 if part is None else 206
    return StreamingResponse(body, status, headers, media_type=facts.media_type)


def digests(facts: Facts) -> dict[str, str]:
    """As RFC 9530 has it, and as a strong validator."""
    if facts.sha256 is None:
        return {}
    digest = base64.b64encode(bytes.fromhex(facts.sha256)).decode()
    return {"ETag": f'"{facts.sha256}"', "Repr-Digest": f"sha-256=:{digest}:"}


def _wanted(request: Request, size: int, tag: str | None) -> tuple[int, int] | None:
    """From where to where; None: all of it, as also for what is no range of ours (RFC 9110, 14.2)."""
    found = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if found is None or found[1] == found[2] == "":
        return None
    if request.headers.get("if-range", tag) != tag:
        return None
    if not found[1]:
        start, end = max(size - int(found[2]), 0), size
    else:
        start, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
    if start >= end:
        if found[1] and found[2] and int(found[2]) < start < size:
            return None  # it ends before it begins: no range at all
        raise Refused(_unsatisfiable(size))
    return start, end


async def _pieces(  # a range of one blob
    blobs: Blobs, tenant: TenantId, blob: BlobId, first: bytes, start: int, end: int
) -> AsyncGenerator[bytes]:
    yield first
    at = start + len(first)
    while first and at < end:
        piece = await blobs.read(tenant, blob, start=at, length=min(_AT_ONCE, end - at))
        if not piece:
            raise BlobNotFound(blob)  # it was deleted; the connection breaks, and who reads knows
        yield piece
        at += len(piece)


def _unsatisfiable(size: int) -> Problem:
    detail = f"It has {size} bytes."
    return Problem(
        416,
        "range-not-satisfiable",
        "There are no such bytes",
        detail,
        headers={"Content-Range": f"bytes */{size}"},
    )
