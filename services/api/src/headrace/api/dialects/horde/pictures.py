"""Pictures and videos on their way in: base64 to a blob. An address is passed on as it is, and never fetched from here."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from headrace.api.deps import ApiDeps
from headrace.api.dialects.horde.errors import HordeError
from headrace.contracts.ids import TenantId
from headrace.core.ports.blobs import Blob

Kept: TypeAlias = dict[str, Any] | str
"""`{"blob": id}`, or the address that was given."""

_BEGINNINGS: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


async def keep(deps: ApiDeps, tenant: TenantId, picture: str, field: str) -> Kept:
    """Raises HordeError, TooLarge, Unavailable."""
    if picture.startswith("https://"):
        return picture
    blob = await asyncio.to_thread(decoded, picture, field)
    if len(blob.data) > deps.limits.blob_bytes:
        raise HordeError(
            400, "ImageValidationFailed", f"{field} has {len(blob.data)} bytes: too many."
        )
    return {"blob": await deps.blobs.put(tenant, blob)}


def decoded(picture: str, field: str, media: Media | None = None) -> Blob:
    media = media or PICTURES
    text = picture.partition(",")[2] if picture.startswith("data:") else picture
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        message = f"{field} is neither base64 nor an address that begins with https://."
        raise HordeError(400, "ImageValidationFailed", message) from error
    media_type = media.type_of(data)
    if media_type is None:
        message = f"{field} is no {media.word}: {media.known} are known."
        raise HordeError(400, "ImageValidationFailed", message)
    return Blob(media_type, data)


def media_type_of(data: bytes) -> str | None:
    """As its first bytes say; None: no picture that is known here."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((name for begins, name in _BEGINNINGS if data.startswith(begins)), None)


def video_type_of(data: bytes) -> str | None:
    """As its first bytes say; None: no video that is known here."""
    if data[4:8] == b"ftyp":
        return "video/mp4"
    return "video/webm" if data.startswith(b"\x1a\x45\xdf\xa3") else None


@dataclass(frozen=True, slots=True)
class Media:
    """What a worker brings."""

    word: str
    ending: str  # of the name under which it is put, whatever it is then
    known: str
    type_of: Callable[[bytes], str | None]


PICTURES: Final = Media("picture", "webp", "PNG, JPEG, WebP and GIF", media_type_of)
VIDEOS: Final = Media("video", "webm", "WebM and MP4", video_type_of)
