"""From tokens to text: whole characters, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.engines.text.pieces import Spelling, UntilStop


def as_bytes(tokens: Sequence[int]) -> str:
    return bytes(tokens).decode(errors="replace")


def told(until: UntilStop, pieces: Sequence[str]) -> list[str]:
    said = []
    for piece in pieces:
        said.append(until.add(piece))
        if until.stopped:
            break
    return said


def test_a_character_of_several_tokens_is_told_when_it_is_whole() -> None:
    spelling = Spelling(as_bytes)

    assert [spelling.add(byte) for byte in "aé€".encode()] == ["a", "", "é", "", "", "€"]
    assert spelling.rest() == ""


def test_what_never_becomes_a_character_is_told_as_broken_and_not_kept_for_ever() -> None:
    spelling = Spelling(as_bytes)

    assert "".join(spelling.add(0xFF) for _ in range(8)) == "\ufffd" * 8


def test_a_character_that_was_cut_off_is_told_at_the_end() -> None:
    spelling = Spelling(as_bytes)

    assert spelling.add(0xC3) == ""
    assert spelling.rest() == "\ufffd"
    assert spelling.rest() == ""


@given(st.text())
def test_pieces_of_a_text_are_together_that_text(text: str) -> None:
    spelling = Spelling(as_bytes)

    said = [spelling.add(byte) for byte in text.encode()]

    assert "".join(said) + spelling.rest() == text


def test_nothing_is_told_of_a_stop_string_that_comes_in_pieces() -> None:
    until = UntilStop(["END", "\n\n"])

    assert told(until, ["one E", "N", "D two"]) == ["one ", "", ""]
    assert until.stopped


def test_what_only_began_like_a_stop_string_is_told_after_all() -> None:
    until = UntilStop(["END"])

    assert told(until, ["EN", "E", "x"]) == ["", "EN", "Ex"]
    assert not until.stopped
    assert until.rest() == ""


def test_what_was_held_back_at_the_end_is_the_rest() -> None:
    until = UntilStop(["END"])

    assert until.add("to the EN") == "to the "
    assert until.rest() == "EN"


@given(st.lists(st.text("ab", max_size=4)), st.lists(st.text("ab", min_size=1, max_size=3)))
def test_however_it_comes_the_text_ends_before_the_first_stop_string(
    pieces: list[str], stops: list[str]
) -> None:
    until, text = UntilStop(stops), "".join(pieces)

    said = "".join(told(until, pieces)) + until.rest()

    places = [text.index(stop) for stop in stops if stop in text]
    assert until.stopped is bool(places)
    if not places:
        assert said == text
    else:
        assert text.startswith(said)
        assert not any(stop in said for stop in stops)


@pytest.mark.parametrize("stop", ["aab", "ab"])
def test_a_stop_string_is_found_where_its_beginning_repeats(stop: str) -> None:
    until = UntilStop([stop])

    assert "".join(told(until, list("aaab!"))) == "aaab!"[: "aaab!".index(stop)]
