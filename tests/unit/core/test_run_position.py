"""A position in a run is short, says what was seen of each job, and is read as it was written."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.ids import START, Position
from headrace.core.run_position import LONGEST, Place, RunPosition, parse

places = st.builds(Place, st.integers(0, 31), st.integers(0, 63), st.integers(1, 12))
seen = st.none() | st.builds(Position, st.integers(0, 99), st.integers(1, 10**6))


@given(st.dictionaries(places, seen, max_size=40), st.booleans())
def test_it_is_read_as_it_was_written(known: dict[Place, Position | None], over: bool) -> None:
    position = RunPosition(known, over=over)

    assert parse(str(position)) == position


@given(st.text(max_size=60))
def test_any_text_is_a_position_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse(str(parse(text))) == parse(text)


@pytest.mark.parametrize("text", ["0.0.1", "x", "0~1;", "0.0.1:3", "-1~2", "0.0.1:3-1!", "٣~1"])
def test_what_looks_almost_like_one_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="position"):
        parse(text)


def test_a_longer_one_than_any_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        parse("0~1," * LONGEST)


def test_a_wide_fan_out_that_is_over_is_a_few_characters() -> None:
    position = RunPosition()
    for piece in range(64):
        position = position.moved(Place(1, piece, 1), None)

    assert str(position.moved(Place(2, 0, 1), Position(3, 17))) == "1~64,2.0.1:3-17"


def test_nothing_is_the_start_and_of_an_unknown_job_nothing_was_seen() -> None:
    assert parse(None) == parse("") == RunPosition()
    assert RunPosition().at(Place(0, 0, 1)) == START


def test_who_moves_on_has_not_seen_the_end() -> None:
    assert not parse("0~1$").moved(Place(1, 0, 1), None).over
