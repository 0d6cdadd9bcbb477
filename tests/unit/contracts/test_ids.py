"""A position is written one way and read strictly: it comes from clients."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.ids import START, Position


@given(st.integers(0, 10**17), st.integers(0, 10**17))
def test_a_position_reads_back_as_it_was_written(epoch: int, seq: int) -> None:
    assert Position.parse(str(Position(epoch, seq))) == Position(epoch, seq)


@pytest.mark.parametrize(
    "text",
    ["", "3", "3-", "-17", "3-17-1", "03-1", "3-1\u0661", "3 -1", "a-b", "3-17\n", "9" * 30 + "-1"],
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a position looks like"):
        Position.parse(text)


@given(st.text())
def test_any_text_is_a_position_or_refused(text: str) -> None:
    try:
        position = Position.parse(text)
    except ValueError:
        return
    assert str(position) == text


def test_a_later_epoch_comes_after_every_frame_of_an_earlier_one() -> None:
    assert START < Position(0, 1) < Position(1, 0) < Position(2, 0) < Position(10, 0)
