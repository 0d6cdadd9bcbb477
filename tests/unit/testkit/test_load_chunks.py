"""A conversation's answer is right when every chunk came, once, in order, and they say what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.testkit.load.chunks import flaw_of


def chunk(index: int, kind: str = "text", content: Any = "word ") -> dict[str, Any]:
    return {"chunk_index": index, "chunk_type": kind, "content": content}


def done(index: int, text: str) -> dict[str, Any]:
    return chunk(index, "complete", {"text": text})


GOOD = [chunk(0), chunk(1), done(2, "word word ")]


@pytest.mark.parametrize(
    "chunks",
    [
        GOOD,
        [chunk(0), chunk(1), chunk(0, "restart", None), chunk(0), done(1, "word ")],
        [chunk(0), chunk(5, "reset", None), chunk(5), done(6, "many words")],
    ],
)
def test_a_whole_answer_has_no_flaw(chunks: list[dict[str, Any]]) -> None:
    assert flaw_of(chunks) == ""


@pytest.mark.parametrize(
    ("chunks", "flaw"),
    [
        ([], "its stream never ended: the last chunk is none"),
        (GOOD[:2], "its stream never ended: the last chunk is text"),
        ([chunk(0), chunk(1, "failed", {})], "it ended as failed"),
        ([chunk(0), done(2, "word word ")], "after text 0 comes complete 2, and 1 was due"),
        ([chunk(0), chunk(0), done(1, "word ")], "after text 0 comes text 0, and 1 was due"),
        ([chunk(0), done(1, "lies")], "its chunks say 'word ', and the whole answer 'lies'"),
    ],
)
def test_a_flaw_is_told(chunks: list[dict[str, Any]], flaw: str) -> None:
    assert flaw_of(chunks) == flaw
