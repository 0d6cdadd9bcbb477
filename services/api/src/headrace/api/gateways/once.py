"""What all watchers of a job are told is made once, not once for each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace.contracts.frames import Entry


class Once:
    """Remembers its last answer: a batch is handed to all who watch, one right after the other."""

    def __init__(self, encode: Callable[..., bytes]) -> None:
        self._encode = encode
        self._batch: Sequence[Entry] = ()  # kept, so that no other can have its identity
        self._encoded = b""

    def __call__(self, batch: Sequence[Entry], *context: object) -> bytes:
        """`context` is the same for the same batch."""
        if batch is not self._batch:
            self._encoded = self._encode(batch, *context)
            self._batch = batch
        return self._encoded
