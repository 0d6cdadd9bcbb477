"""Lines of a batch: what is wrong with one is said in words, and of it alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.batch_items import (
    DEEPEST,
    MOST_ITEM_BYTES,
    BadItem,
    Item,
    count_items,
    next_items,
    read_item,
)


def test_an_item_says_its_input_and_what_is_its_own() -> None:
    line = b'{"input": {"text": "a"}, "custom_id": "x", "model": "m", "priority": 3, "labels": {"a": "b"}}'

    assert read_item(line) == Item(
        input={"text": "a"}, custom_id="x", model="m", priority=3, labels={"a": "b"}
    )
    assert read_item(b'{"input": {}}') == Item(input={})


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `input`"),
        (b'{"input": 7}', "Expected `object`, got `int` - at `$.input`"),
        (b'{"input": {}, "inputs": {}}', "unknown field `inputs`"),
        (b'{"input": {}, "priority": 101}', "`int` <= 100"),
        (b'{"input": {}, "labels": {"a b": "c"}}', "matching regex"),
        (b'{"input": {"a": "\\u0000"}}', "NUL"),
        (b'{"input": {"\\u0000": 1}}', "NUL"),
        (b'{"input": ' + b'{"a":' * 80 + b"1" + b"}" * 81, f"deeper than {DEEPEST}"),
        (b"[" * 100_000, "deeper than"),
        (b'{"input": {"a": "%s"}}' % (b"x" * MOST_ITEM_BYTES), "are the most"),
    ],
)
def test_a_bad_line_says_why(line: bytes, why: str) -> None:
    with pytest.raises(BadItem, match=r".") as refused:
        read_item(line)

    assert why in refused.value.why


def test_a_bad_line_is_known_by_its_own_id_if_that_can_be_read() -> None:
    with pytest.raises(BadItem) as refused:
        read_item(b'{"custom_id": "x", "input": 7}')

    assert refused.value.custom_id == "x"


@given(
    st.lists(st.sampled_from([b"", b" \r", b"{}", b'{"input": {}}', b"nonsense\r"])),
    st.integers(1, 4),
    st.booleans(),
)
def test_lines_are_read_some_at_a_time_as_they_would_be_at_once(
    lines: list[bytes], limit: int, ends: bool
) -> None:
    source = b"\n".join(lines) + (b"\n" if ends else b"")
    start, found = 0, []
    while len(more := next_items(source, start, limit)[0]) > 0:
        found += more
        start = next_items(source, start, limit)[1]

    assert found == [line.strip() for line in lines if line.strip()]
    assert count_items(source) == len(found)
