"""Which stored key was shown, remembered for a moment, so that the store is not asked each time.

Laws:
1. A key that was revoked or has expired is refused within `FRESH_S` by every process: what is known of
   a key is asked for again once it is older, and the question begins after that.
2. While the store does not answer, a key goes on being good for `KNOWN_S` after it was last found. One
   that is not known is neither good nor bad then: Unavailable. Nobody who has waited for the store is
   cut off in the middle: a transaction that is cancelled may hold a lock for a while.
3. However many ask with however many keys, the store has one question at a time from this process, each
   an indexed look-up of `together.MOST` digests at most, and a wrong key is remembered. Keys that were shown
   lately share it: so those that are shown again and again cost one question, each `FRESH_S`, all together.
4. When a key was last used is written beside the requests, never in the way of one, and at most once a
   minute for each key by all processes together.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, Final

from headrace.contracts.ids import KeyId
from headrace.core.errors import Unavailable
from headrace.core.ports.keys import ApiKey
from headrace.core.ports.store import Store
from headrace.core.together import MOST, Together

FRESH_S: Final = 1.0
KNOWN_S: Final = 60.0
LATELY_S: Final = 30.0  # as long as a remote worker waits between two pops
UNKNOWN_S: Final = 30.0  # a key is told once it is kept, so none that was refused becomes good
PATIENCE_S: Final = 1.0  # with a question; who comes later goes by what is known
REMEMBERED: Final = 10_000  # keys that are known, and as many that are not
WRITTEN_EVERY_S: Final = 15.0
USED_EVERY: Final = timedelta(minutes=1)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    key: ApiKey
    asked_at: float
    shown_at: float


class Keyring:
    """One of each process that lets callers in. `run` writes down which keys were used."""

    def __init__(self, store: Store, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store, self._monotonic = store, monotonic
        self._questions = Together(self._ask)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()  # until when
        self._away_until = monotonic()
        self._asked_at: float | None = None  # the question that is under way
        self._used: set[KeyId] = set()

    async def find(self, digest: str) -> ApiKey | None:
        """None: nobody has it, or no longer. Raises Unavailable: that cannot be known now."""
        found = await self._find(digest)
        if found is not None:
            self._used.add(found.id)
        return found

    async def _find(self, digest: str) -> ApiKey | None:
        now, known = self._monotonic(), self._known.get(digest)
        if known is None:
            refused = self._unknown.get(digest, now) > now
            return None if refused else await self._look(digest, now)
        known.shown_at = now
        age_s = now - known.asked_at
        if age_s < FRESH_S or (self.silent and age_s < KNOWN_S):
            return known.key
        try:
            return await self._look(digest, now)
        except Unavailable:
            if age_s >= KNOWN_S:
                raise
            return known.key

    @property
    def silent(self) -> bool:
        """Whether the store did not answer a moment ago, or takes long over it now."""
        now = self._monotonic()
        slow = self._asked_at is not None and now - self._asked_at >= PATIENCE_S
        return slow or now < self._away_until

    async def _look(self, digest: str, now: float) -> ApiKey | None:
        found = await self._questions.ask(digest)
        if found is None:
            self._known.pop(digest, None)
            _remember(self._unknown, digest, now + UNKNOWN_S)
        else:
            _remember(self._known, digest, _Known(found, now, now))
        return found

    async def _ask(self, digests: Set[str]) -> dict[str, ApiKey]:
        self._asked_at = now = self._monotonic()
        others = self._shown_lately(now, digests)
        try:
            async with self._store.begin() as tx:
                found = await tx.live_keys(sorted({*digests, *others}))
        except Unavailable:
            self._away_until = self._monotonic() + FRESH_S
            raise
        finally:
            self._asked_at = None
        for digest in others:
            self._heard_again(digest, found.get(digest), now)
        return found

    def _shown_lately(self, now: float, besides: Set[str]) -> list[str]:
        lately = (
            digest
            for digest, known in reversed(self._known.items())
            if now - known.shown_at < LATELY_S and digest not in besides
        )
        return list(islice(lately, max(0, MOST - len(besides))))

    def _heard_again(self, digest: str, found: ApiKey | None, asked_at: float) -> None:
        known = self._known.get(digest)
        if known is None:
            return
        if found is None:
            del self._known[digest]
            _remember(self._unknown, digest, asked_at + UNKNOWN_S)
        else:
            known.key, known.asked_at = found, max(known.asked_at, asked_at)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(WRITTEN_EVERY_S)
            await self.write_used()

    async def write_used(self) -> None:
        """What cannot be written now is written next time."""
        used, self._used = self._used, set()
        if not used:
            return
        try:
            async with self._store.begin() as tx:
                await tx.use_keys(sorted(used), unless_since=await tx.now() - USED_EVERY)
        except Unavailable as error:
            self._used |= used
            log.warning("keys.use_not_written", extra={"error": str(error), "keys": len(used)})


def _remember(cache: OrderedDict[str, Any], digest: str, what: object) -> None:
    """The one that was asked for longest ago makes room."""
    cache[digest] = what
    cache.move_to_end(digest)
    if len(cache) > REMEMBERED:
        cache.popitem(last=False)
