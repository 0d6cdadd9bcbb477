"""One look at the store for all who ask at once, and a while after.

However many ask, one look is under way at a time, and what it saw is good for a second, or for ten times
as long as it took: so who watches costs no more than a tenth of one connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from headrace.core.errors import Unavailable
from headrace.core.ports.store import Store, Transaction

_GOOD_FOR_S: Final = 1.0
_SHARE_OF_TIME: Final = 10
_Seen = TypeVar("_Seen")


class SharedLook(Generic[_Seen]):
    """`take` sees, in a transaction."""

    def __init__(
        self,
        take: Callable[[Transaction], Awaitable[_Seen]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._take, self._monotonic = take, monotonic
        self._turn = asyncio.Lock()
        self._seen: _Seen | None = None
        self._good_until = 0.0
        self._failed: Unavailable | None = None
        self._failed_at = 0.0

    async def look(self, store: Store) -> _Seen:
        """Raises Unavailable, to all who waited for the same look."""
        asked = self._monotonic()
        async with self._turn:
            if self._failed is not None and self._failed_at >= asked:
                raise Unavailable(self._failed.what, self._failed.why)
            if self._seen is None or self._monotonic() >= self._good_until:
                self._seen = await self._look(store)
            return self._seen

    async def _look(self, store: Store) -> _Seen:
        begun = self._monotonic()
        try:
            async with store.begin() as tx:
                seen = await self._take(tx)
        except Unavailable as error:
            self._failed, self._failed_at = error, self._monotonic()
            raise
        took_s = self._monotonic() - begun
        self._good_until = begun + took_s + max(_GOOD_FOR_S, _SHARE_OF_TIME * took_s)
        return seen
