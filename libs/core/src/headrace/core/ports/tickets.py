"""Short-lived notes that are taken once: what a browser shows where it can set no header."""

from __future__ import annotations

from typing import Protocol


class Tickets(Protocol):
    """Kept by name. Names are digests, so that whoever reads the keeper's memory can use none."""

    async def keep(self, name: str, note: bytes, *, for_s: float) -> None:
        """Raises Unavailable."""

    async def take(self, name: str) -> bytes | None:
        """The note, once: whoever asks next, in any process, gets None. Raises Unavailable."""
