"""Frames as this door shows them: `{chunk_index, chunk_type, content}`, at the frames' own positions.

Every frame of a producer is a chunk, so its index follows from its position: counted from its epoch's
first, whoever comes back in the middle needs no count of what was before.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import msgspec

from headrace.contracts.frames import Entry
from headrace.contracts.ids import Position
from headrace.core.ports.streams import Take

_EVENT: Final = "message"  # what EventSource hands to `onmessage`
_FIRST_SEQ: Final = 2  # before it, the epoch is opened
_RESTARTS: Final = frozenset({"started", "attempt"})
_ENDS: Final = {
    "succeeded": "complete",
    "failed": "failed",
    "dead": "failed",
    "cancelled": "cancelled",
}

_Batches: TypeAlias = AsyncGenerator[Sequence[Entry]]
_Watching: TypeAlias = Callable[[Take], _Batches]


def chunked(after: Position) -> Callable[[_Watching], _Watching]:
    """Watching frames after a position as watching chunks."""

    def shown(watching: _Watching) -> _Watching:
        async def watched(tell: Take) -> _Batches:
            chunks = Chunks(after)

            def tell_chunks(entries: Sequence[Entry]) -> bool:
                return chunks.told(entries, tell)

            async with aclosing(watching(tell_chunks)) as batches:
                async for batch in batches:
                    yield chunks.of(batch)

        return watched

    return shown


class Chunks:
    def __init__(self, after: Position) -> None:
        self._next = max(after.seq - 1, 0)  # the next chunk's index
        self._shown = after.seq >= _FIRST_SEQ  # chunks that another attempt makes void

    def of(self, entries: Sequence[Entry]) -> list[Entry]:
        return [chunk for entry in entries if (chunk := self._chunk(entry)) is not None]

    def told(self, entries: Sequence[Entry], tell: Take) -> bool:
        """Whether it was told of them; else nothing has changed here, and they come again."""
        before = self._next, self._shown
        chunks = self.of(entries)
        if not chunks or tell(chunks):
            return True
        self._next, self._shown = before
        return False

    def _chunk(self, entry: Entry) -> Entry | None:
        if entry.type in _ENDS:
            return self._said(entry, _ENDS[entry.type], _last_word(entry))
        if entry.type == "reset":
            self._next = max(entry.position.seq - 1, 0)
            return self._said(entry, "reset", None)
        if entry.type in _RESTARTS:
            return self._restart(entry)
        if entry.position.seq < _FIRST_SEQ:
            return None  # it only says that it waits
        self._next, self._shown = entry.position.seq - _FIRST_SEQ, True
        chunk = self._said(entry, *_content(entry))
        self._next += 1
        return chunk

    def _restart(self, entry: Entry) -> Entry | None:
        void, self._shown, self._next = self._shown, False, 0
        return self._said(entry, "restart", None) if void else None

    def _said(self, entry: Entry, chunk_type: str, content: Any) -> Entry:
        chunk = {"chunk_index": self._next, "chunk_type": chunk_type, "content": content}
        return Entry(entry.position, _EVENT, msgspec.json.encode(chunk))


def _content(entry: Entry) -> tuple[str, Any]:
    match msgspec.json.decode(entry.data):
        case {"type": "token", "text": text}:
            return "text", text
        case {"type": str(kind), **rest}:
            return kind, rest
        case other:
            return entry.type, other


def _last_word(entry: Entry) -> Any:
    match msgspec.json.decode(entry.data):
        case {"result": {"text": str(text)}}:
            return text
        case {"result": result}:
            return result
        case {"error": error}:
            return error
        case _:
            return None
