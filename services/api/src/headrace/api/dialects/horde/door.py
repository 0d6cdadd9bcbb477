"""All parts of this door."""

from __future__ import annotations

from typing import Final

from headrace.api.dialects.horde import (
    asking,
    blobs,
    checking,
    links,
    pop,
    status,
    steps,
    submit,
    workers,
)

PARTS: Final = (asking, checking, links, status, blobs, pop, submit, steps, workers)
