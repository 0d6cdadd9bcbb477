"""Whether the jobs of a path have a dispatcher: presence in the store, on the store's clock."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol

from headrace.core.rollout import NEW, OLD

LOCAL: Final = OLD
DISTRIBUTED: Final = NEW
PATHS: Final = (LOCAL, DISTRIBUTED)


class Paths(Protocol):
    """The part of a transaction that keeps who attends to what."""

    async def attend(self, path: str, *, until: datetime) -> None:
        """Some dispatcher is there for this path until then, and longer if it says so again."""

    async def deserted(self, path: str) -> bool:
        """Nobody attends to this path, and something on it waits for somebody."""
