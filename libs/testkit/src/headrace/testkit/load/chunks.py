"""What is wrong with a conversation's answer, as one watcher got it chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

LAST: Final = frozenset({"complete", "failed", "cancelled"})


def kind_of_last(chunks: Sequence[dict[str, Any]]) -> str:
    return str(chunks[-1]["chunk_type"]) if chunks else "none"


def flaw_of(chunks: Sequence[dict[str, Any]]) -> str:
    """A sentence, or nothing."""
    last = kind_of_last(chunks)
    if last not in LAST:
        return f"its stream never ended: the last chunk is {last}"
    if last != "complete":
        return f"it ended as {last}"
    return _order_flaw(chunks) or _text_flaw(chunks)


def _order_flaw(chunks: Sequence[dict[str, Any]]) -> str:
    """The count goes on by one. `reset` and `restart` take no number: they name that of the next chunk."""
    due, before = 0, "nothing"
    for chunk in chunks:
        index, kind = chunk["chunk_index"], chunk["chunk_type"]
        begins = kind in {"reset", "restart"}
        if index != due and not begins:
            return f"after {before} comes {kind} {index}, and {due} was due"
        due, before = index + (not begins), f"{kind} {index}"
    return ""


def _text_flaw(chunks: Sequence[dict[str, Any]]) -> str:
    """With a `reset` the text is in the answer alone."""
    kinds = [chunk["chunk_type"] for chunk in chunks]
    if "reset" in kinds:
        return ""
    since = len(kinds) - kinds[::-1].index("restart") if "restart" in kinds else 0
    said = "".join(c["content"] for c in chunks[since:] if c["chunk_type"] == "text")
    whole = chunks[-1]["content"]
    told = whole["text"] if isinstance(whole, dict) else whole
    return "" if said == told else f"its chunks say {said[-60:]!r}, and the whole answer {told!r}"
