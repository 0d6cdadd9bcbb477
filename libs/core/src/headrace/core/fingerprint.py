"""What two failures have in common: an error without the ids, numbers and paths that make it one job's."""

from __future__ import annotations

import hashlib
import re
from typing import Final

LINES: Final = 3
LONGEST_TITLE: Final = 200

# In this order: what a pattern leaves behind must not look like something to the next one.
_VARYING: Final = (
    (re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"), "<id>"),
    (re.compile(r"[a-z][a-z0-9+.-]*://\S+"), "<url>"),
    (re.compile(r"(?<![\w<])(?:[A-Za-z]:)?(?:[\\/][\w.@%+-]+){2,}"), "<path>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "<n>"),
    (re.compile(r"\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{12,}\b"), "<id>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
    (re.compile(r"\s+"), " "),
)


def cause(text: str) -> str:
    """The first lines of an error as every other job with that error would have them."""
    lines = [line for line in text.splitlines() if line.strip()][:LINES]
    return " / ".join(_normal(line) for line in lines)[:LONGEST_TITLE]


def fingerprint(*parts: str) -> str:
    """Short, stable, and equal exactly when the parts are."""
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:16]


def _normal(line: str) -> str:
    line = line[: 4 * LONGEST_TITLE]  # an engine's words: as long as it likes
    for pattern, word in _VARYING:
        line = pattern.sub(word, line)
    return line.strip()
