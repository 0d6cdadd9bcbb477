"""Say that a path has a dispatcher, and find the paths that have none any more."""

from __future__ import annotations

from datetime import timedelta

from headrace.core.ports.paths import PATHS
from headrace.core.ports.store import Store


async def attend(store: Store, *, path: str, for_: timedelta) -> list[str]:
    """Answers the other paths that nobody attends to though something on them waits."""
    async with store.begin() as tx:
        await tx.attend(path, until=await tx.now() + for_)
        return [other for other in PATHS if other != path and await tx.deserted(other)]
