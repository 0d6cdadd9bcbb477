"""Park dead letters as rows. Idempotent by (message, reason): one that comes twice is kept once."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.core.ports.dead_letters import DeadLetter
from headrace.core.ports.store import Store


async def bury(store: Store, letters: Sequence[DeadLetter]) -> int:
    """How many are new."""
    async with store.begin() as tx:
        return await tx.bury(letters)
