"""Whatever an engine says can be kept: what a database refuses is replaced, the rest is untouched."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from headrace.core.storable import storable

ANY_TEXT = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=10,
)


def test_a_nul_and_a_lone_surrogate_are_replaced_at_any_depth() -> None:
    assert storable({"a\x00": ["b\ud800c", 1]}) == {"a\ufffd": ["b\ufffdc", 1]}


@given(JSON)
def test_what_comes_out_can_be_encoded_and_holds_no_nul(value: object) -> None:
    written = json.dumps(storable(value), ensure_ascii=False)

    assert "\x00" not in written
    assert "\\u0000" not in written.replace("\\\\", "")
    written.encode()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_what_can_be_kept_is_left_alone(text: str) -> None:
    assert storable(text) == text
