"""How blobs are called: an unguessable id whose ending says what is in it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote
from uuid import UUID

from headrace.contracts.ids import BlobId, TenantId

UNKNOWN_TYPE: Final = "application/octet-stream"
UNKNOWN_ENDING: Final = "bin"

# Our own, since the standard library's table differs between machines.
ENDINGS: Final = {
    "application/json": "json",
    "application/jsonl": "jsonl",
    "application/pdf": "pdf",
    "application/zip": "zip",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "text/csv": "csv",
    "text/plain": "txt",
    "video/mp4": "mp4",
    "video/webm": "webm",
    UNKNOWN_TYPE: UNKNOWN_ENDING,
}
_TYPES: Final = {ending: media_type for media_type, ending in ENDINGS.items()}
_NAME: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(?P<ending>[a-z0-9]{1,8})")


def new_name(uuid: UUID, media_type: str) -> BlobId:
    """Parameters of the type (`; charset=utf-8`) are not kept."""
    essence = media_type.partition(";")[0].strip().lower()
    return BlobId(f"{uuid}.{ENDINGS.get(essence, UNKNOWN_ENDING)}")


def media_type(blob: BlobId) -> str | None:
    """What the name says is in it; None where it is no name of ours, and so names nothing."""
    match = _NAME.fullmatch(blob)
    return None if match is None else _TYPES.get(match["ending"], UNKNOWN_TYPE)


def folder(tenant: TenantId) -> str:
    """A tenant's name as one path segment: it cannot lead out, up or into another's."""
    if not tenant:
        raise ValueError("a tenant has a name")
    return quote(tenant, safe="").replace(".", "%2E")


def tenant_of(folder: str) -> TenantId:
    return TenantId(unquote(folder))
