"""All parts of this door."""

from __future__ import annotations

from typing import Final

from headrace.api.dialects.horde import (
    absent,
    alchemy,
    asking,
    blobs,
    checking,
    kudos,
    pop,
    shared_keys,
    stats,
    status,
    steps,
    streaming,
    submit,
    users,
    video,
    workers,
)

PARTS: Final = (
    absent,
    alchemy,
    asking,
    blobs,
    checking,
    kudos,
    pop,
    shared_keys,
    stats,
    status,
    steps,
    streaming,
    submit,
    users,
    video,
    workers,
)
