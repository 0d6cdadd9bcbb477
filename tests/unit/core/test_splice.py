"""Joining the log and the live frames: which come next, and where something is missing."""

from __future__ import annotations

import pytest

from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, Position
from headrace.core.splice import hear, holes, just_before, until_the_end


def at(*positions: str, type_: str = "token") -> list[Entry]:
    return [Entry(position=Position.parse(text), type=type_, data=b"{}") for text in positions]


def said(entries: object) -> list[str]:
    assert isinstance(entries, list)
    return [str(entry.position) for entry in entries]


def test_live_frames_that_continue_are_taken() -> None:
    heard = hear(Position(1, 3), at("1-4", "1-5"))

    assert (said(heard.entries), heard.hole) == (["1-4", "1-5"], False)


def test_live_frames_that_all_continue_are_the_same_sequence_for_all_who_hear_them() -> None:
    entries = at("1-4", "1-5")

    assert hear(Position(1, 3), entries).entries is entries


def test_what_was_there_before_is_dropped() -> None:
    heard = hear(Position(2, 3), at("1-9", "2-2", "2-3", "2-4"))

    assert (said(heard.entries), heard.hole) == (["2-4"], False)


@pytest.mark.parametrize("next_", ["1-6", "2-1", "3-7"])
def test_a_gap_or_a_new_epoch_is_for_the_log(next_: str) -> None:
    heard = hear(Position(1, 3), at("1-4", next_, "1-5"))

    assert (said(heard.entries), heard.hole) == (["1-4"], True)


@pytest.mark.parametrize(
    ("cursor", "entries", "missing"),
    [
        (START, ["0-1", "1-1", "1-2", "3-1"], []),
        (START, ["1-2"], [0]),
        (Position(1, 3), ["1-4", "1-6", "2-1"], [1]),
        (Position(1, 3), ["2-2", "2-3"], [0]),
        (Position(5, 5), ["1-1", "1-2"], [0]),
        (Position(1, 3), [], []),
    ],
)
def test_holes_are_where_positions_do_not_follow(
    cursor: Position, entries: list[str], missing: list[int]
) -> None:
    assert holes(cursor, at(*entries)) == missing


def test_nothing_is_said_after_the_terminal_frame() -> None:
    entries = [*at("1-1"), *at("2-1", type_="failed"), *at("2-2")]

    assert said(until_the_end(entries)) == ["1-1", "2-1"]


def test_just_before_stays_in_the_epoch() -> None:
    assert just_before(Position(2, 7)) == Position(2, 6)
    assert just_before(Position(2, 1)) == Position(2, 0)
