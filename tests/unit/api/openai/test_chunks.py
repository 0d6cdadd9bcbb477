"""An answer in pieces: what was told stays true, whatever becomes of the attempt that said it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.api.dialects.openai.chunks import Form, Spoken, event
from headrace.api.problems import Refused
from headrace.contracts.frames import (
    Attempt,
    Entry,
    Frame,
    Progress,
    Reset,
    Started,
    Token,
    encode_frame,
    frame_type,
)
from headrace.contracts.ids import START, Position

AGAIN = Started(worker="w2", attempt=2)
FORM = Form("chatcmpl-1", 7, "m", chat=True, counted=False, choices=1)


def entry(frame: Frame) -> Entry:
    return Entry(Position(1, 2), frame_type(frame), encode_frame(frame))


def heard(spoken: Spoken, *frames: Frame) -> list[str]:
    return [text for frame in frames if (text := spoken.hear(entry(frame)))]


def test_tokens_are_told_as_they_come() -> None:
    told = heard(Spoken(), Started("w", 1), Token("so"), Progress(0.5), Token("up"))

    assert told == ["so", "up"]


def test_what_a_second_attempt_says_again_is_not_told_twice() -> None:
    spoken = Spoken()

    first = heard(spoken, Token("so"), Token("up"))
    second = heard(spoken, Attempt(2), AGAIN, Token("s"), Token("oup and"), Token(" bread"))

    assert (first, second) == (["so", "up"], [" and", " bread"])
    assert spoken.rest("soup and bread") == ""


def test_a_third_attempt_owes_all_that_was_told_too() -> None:
    spoken = Spoken()
    heard(spoken, Token("soup"), AGAIN, Token("so"))

    assert heard(spoken, AGAIN, Token("soup and")) == [" and"]


def test_an_attempt_that_says_something_else_ends_the_stream() -> None:
    spoken = Spoken()
    heard(spoken, Token("soup"), AGAIN)

    with pytest.raises(Refused, match="wrote something else"):
        spoken.hear(entry(Token("salad")))


def test_a_result_that_says_something_else_ends_the_stream() -> None:
    spoken = Spoken()
    heard(spoken, Token("soup"))

    with pytest.raises(Refused):
        spoken.rest("salad")


def test_what_the_log_has_lost_comes_with_the_result() -> None:
    spoken = Spoken()

    told = heard(spoken, Token("so"), Reset({}), Token("bread"))

    assert told == ["so"]
    assert spoken.rest("soup and bread") == "up and bread"


@given(
    words=st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=8),
    cuts=st.lists(st.integers(0, 8), max_size=4),
    lost=st.booleans(),
)
def test_deltas_concatenate_to_the_answer_however_often_it_is_begun_again(
    words: list[str], cuts: list[int], lost: bool
) -> None:
    spoken, whole = Spoken(), "".join(words)
    told: list[str] = []
    for cut in cuts:
        told += heard(spoken, AGAIN, *map(Token, words[:cut]))
    told += heard(spoken, AGAIN, *([Reset({})] if lost else []), *map(Token, words))

    assert "".join(told) + spoken.rest(whole) == whole


def test_an_event_says_where_the_jobs_own_stream_goes_on() -> None:
    piece = FORM.piece(0, "so", Position(1, 3))

    assert event(piece).startswith(b'id: 1-3\ndata: {"id":"chatcmpl-1"')
    assert event(FORM.piece(0, "so", START)).startswith(b"data: {")


def test_of_several_choices_no_event_says_where_to_go_on() -> None:
    form = Form("chatcmpl-1", 7, "m", chat=True, counted=False, choices=2)

    assert form.piece(1, "so", Position(1, 3)).position == START


def test_calls_of_tools_come_before_the_end() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    output = {"text": "", "tool_calls": [call], "finish_reason": "tool_calls"}

    first, last = (json.loads(each.data) for each in FORM.closing(0, output, "", Position(1, 9)))

    assert first["choices"][0]["delta"] == {"tool_calls": [{"index": 0, **call}]}
    assert last["choices"][0]["finish_reason"] == "tool_calls"


def test_live_tokens_are_told_at_once_and_only_counted_once_told() -> None:
    spoken = Spoken()
    heard_live = spoken.hear_live([entry(Token("so")), entry(Progress(0.5)), entry(Token("up"))])

    assert heard_live is not None
    assert [text for _, text in heard_live] == ["so", "up"]
    assert spoken.rest("soup") == "soup", "nobody was told yet"
    spoken.told(heard_live)
    assert spoken.rest("soup") == ""


@pytest.mark.parametrize("frame", [AGAIN, Attempt(2), Reset({})])
def test_what_turns_the_stream_is_not_for_a_hasty_look(frame: Frame) -> None:
    assert Spoken().hear_live([entry(Token("so")), entry(frame)]) is None


def test_while_an_attempt_says_again_what_was_told_nothing_is_told_at_once() -> None:
    spoken = Spoken()
    heard(spoken, Token("soup"), AGAIN)

    assert spoken.hear_live([entry(Token("so"))]) is None
