"""Text as BERT's lower-case word pieces: clean, lower, strip accents, split, then longest match first.

`vocab.txt` is the vocabulary of Google's bert-base-uncased (Apache-2.0); a line number is an id.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_VOCABULARY: Final = Path(__file__).with_name("vocab.txt")
_LONGEST_WORD: Final = 100
_CJK: Final = (
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPieces:
    def __init__(self) -> None:
        words = _VOCABULARY.read_text(encoding="utf-8").splitlines()
        self._ids: Mapping[str, int] = {word: number for number, word in enumerate(words)}
        self._unknown, self._first, self._last = (
            self._ids[mark] for mark in ("[UNK]", "[CLS]", "[SEP]")
        )

    def encode(self, text: str, limit: int) -> tuple[list[int], bool]:
        """Ids between their marks, at most `limit`, and whether the text was longer than that."""
        pieces: list[int] = []
        for word in _words(text):
            pieces += self._pieces(word)
            if len(pieces) > limit - 2:
                break
        return [self._first, *pieces[: limit - 2], self._last], len(pieces) > limit - 2

    def _pieces(self, word: str) -> list[int]:
        if len(word) > _LONGEST_WORD:
            return [self._unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            end = self._longest(word, start)
            if end == start:
                return [self._unknown]
            found.append(self._ids[_piece(word, start, end)])
            start = end
        return found

    def _longest(self, word: str, start: int) -> int:
        """Where the longest known piece from `start` ends; `start` itself where none begins there."""
        ends = range(len(word), start, -1)
        return next((end for end in ends if _piece(word, start, end) in self._ids), start)


def _piece(word: str, start: int, end: int) -> str:
    return f"##{word[start:end]}" if start else word[start:end]


def _words(text: str) -> Iterator[str]:
    spaced = "".join(_spaced(char) for char in _bare(text))
    yield from spaced.split()


def _bare(text: str) -> str:
    """Without control characters, accents and capitals."""
    kept = "".join(char for char in text if not _is_control(char))
    decomposed = unicodedata.normalize("NFD", kept)
    # One by one: lower() of a whole word would make its last sigma another letter.
    return "".join(char.lower() for char in decomposed if unicodedata.category(char) != "Mn")


def _spaced(char: str) -> str:
    """Punctuation and Chinese characters are words of their own."""
    if char.isspace() or unicodedata.category(char) == "Zs":
        return " "
    return f" {char} " if _is_punctuation(char) or _is_cjk(char) else char


def _is_control(char: str) -> bool:
    if char in "\t\n\r":
        return False
    return char in "\0\ufffd" or unicodedata.category(char) in {"Cc", "Cf", "Co"}


def _is_punctuation(char: str) -> bool:
    ascii_sign = char.isascii() and not char.isalnum() and char.isprintable() and char != " "
    return ascii_sign or unicodedata.category(char).startswith("P")


def _is_cjk(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in _CJK)
