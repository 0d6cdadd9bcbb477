"""All parts of this door."""

from __future__ import annotations

from typing import Final

from headrace.api.dialects.horde import asking, blobs, checking, status

PARTS: Final = (asking, blobs, checking, status)
