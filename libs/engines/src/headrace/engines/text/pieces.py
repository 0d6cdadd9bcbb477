"""From tokens to text as it is told: whole characters, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

_BROKEN: Final = "\ufffd"  # what a decoder makes of the beginning of a character
_LONGEST: Final = 4  # tokens that a character takes at most, one a byte


class Spelling:
    """What each token adds to the text. Some add nothing yet: a character can take several."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        # Decoders treat the first token as the first of a text. So each is decoded after some that
        # were told already, and what those alone give is taken off.
        self._before = 0
        self._told = 0

    def add(self, token: int) -> str:
        self._tokens.append(token)
        added = self._added()
        if added.endswith(_BROKEN) and len(self._tokens) - self._told < _LONGEST:
            return ""
        self._before, self._told = self._told, len(self._tokens)
        return added

    def rest(self) -> str:
        """What is left when no token follows, broken or not."""
        added = self._added()
        self._before = self._told = len(self._tokens)
        return added

    def _added(self) -> str:
        known = self._decode(self._tokens[self._before : self._told])
        return self._decode(self._tokens[self._before :])[len(known) :]


class UntilStop:
    """Text up to the first stop string, of which nothing is told, not even its beginning."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.stopped = False

    def add(self, text: str) -> str:
        held = self._held + text
        ends = [held.index(stop) for stop in self._stops if stop in held]
        if ends:
            self.stopped, self._held = True, ""
            return held[: min(ends)]
        told = len(held) - self._perhaps_stop(held)
        self._held = held[told:]
        return held[:told]

    def rest(self) -> str:
        held, self._held = self._held, ""
        return held

    def _perhaps_stop(self, held: str) -> int:
        """How many characters at the end could be the beginning of a stop string."""
        sizes = (n for stop in self._stops for n in range(1, len(stop)) if held.endswith(stop[:n]))
        return max(sizes, default=0)
