"""All parts of this door."""

from __future__ import annotations

from typing import Final

from headrace.api.dialects.horde import (
    asking,
    blobs,
    checking,
    kudos,
    shared_keys,
    status,
    users,
)

PARTS: Final = (asking, blobs, checking, status, users, shared_keys, kudos)
