"""An answer as it arrives: each piece goes to the watchers, with the progress, and is kept."""

from __future__ import annotations

from typing import Any, Final

from headrace.engines.engine import Work

_REPORTS: Final = (
    50  # progress frames for an answer of full length; every token is a frame of its own
)
_USUAL: Final = 512  # tokens, where the caller sets no limit


class Telling:
    """`max_tokens` None: nobody knows how far it is."""

    def __init__(self, work: Work[Any], max_tokens: int | None) -> None:
        self._work = work
        self._max_tokens = max_tokens
        self._every = max(1, (max_tokens or _USUAL) // _REPORTS)
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def pieces(self) -> int:
        return len(self._pieces)

    def piece(self, text: str) -> None:
        self._pieces.append(text)
        self._work.token(text)
        if self.pieces % self._every == 0:
            limit = self._max_tokens
            fraction = None if limit is None else min(1.0, self.pieces / limit)
            self._work.progress(fraction, stage="writing")

    def done(self, tokens_per_s: float) -> None:
        self._work.metric("tokens_per_s", tokens_per_s)
        self._work.progress(1.0, stage="writing")
