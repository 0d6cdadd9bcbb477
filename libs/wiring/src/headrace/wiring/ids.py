"""Where new ids come from."""

from __future__ import annotations

import uuid


def new_id() -> str:
    """A UUID version 4: unguessable, and what every dialect's clients accept as an id."""
    return str(uuid.uuid4())
