"""Frames to what is shown: each once, the latest attempt alone, a reset replacing all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from headrace.contracts import frames
from headrace.contracts.frames import Frame
from headrace.contracts.ids import Position
from headrace.launch.view import LINES, View, see

QUEUED = frames.Queued(position=2)
STARTED = frames.Started(worker="w1", attempt=1)


def seen(*told: tuple[int, int, Frame], view: View | None = None) -> View:
    view = view or View()
    for epoch, seq, frame in told:
        view = see(view, Position(epoch, seq), frame)
    return view


def in_epoch(epoch: int, told: Iterable[Frame]) -> list[tuple[int, int, Frame]]:
    return [(epoch, seq, frame) for seq, frame in enumerate(told, 1)]


def test_a_job_waits_runs_and_ends() -> None:
    waiting = seen((0, 1, QUEUED))
    running = seen((1, 1, STARTED), view=waiting)
    done = seen((2, 1, frames.Succeeded(result={"text": "a"})), view=running)

    assert (waiting.state, waiting.ahead) == ("queued", 2)
    assert (running.state, running.ahead, running.worker) == ("running", None, "w1")
    assert (done.state, done.result, done.ended) == ("succeeded", {"text": "a"}, True)


def test_tokens_make_a_text() -> None:
    view = seen(*in_epoch(1, [STARTED, frames.Token("Hel"), frames.Token("lo")]))

    assert (view.text, view.tokens) == ("Hello", 2)


def test_what_was_seen_before_changes_nothing() -> None:
    view = seen(*in_epoch(1, [STARTED, frames.Token("a"), frames.Token("b")]))

    assert see(view, Position(1, 2), frames.Token("a")) is view
    assert see(view, Position(0, 9), QUEUED) is view


@given(some.lists(some.sampled_from(range(6)), max_size=20))
def test_frames_repeated_in_any_order_are_seen_at_most_once(order: list[int]) -> None:
    told = in_epoch(1, [STARTED, *(frames.Token(letter) for letter in "abcde")])

    text = seen(*(told[number] for number in order)).text

    assert list(text) == sorted(set(text))


def test_a_new_attempt_forgets_what_the_old_one_showed() -> None:
    first = seen(
        *in_epoch(1, [STARTED, frames.Token("old"), frames.Progress(fraction=0.5), frames.Log("x")])
    )
    waiting = seen((2, 1, frames.Attempt(attempt=2, reason="lost", retry_in_s=3)), view=first)
    second = seen(
        *in_epoch(3, [frames.Started(worker="w2", attempt=2), frames.Token("new")]), view=waiting
    )

    assert (waiting.text, waiting.lines, waiting.fraction) == ("", (), None)
    assert (waiting.restarts, waiting.why_again, waiting.retry_in_s) == (1, "lost", 3)
    assert (second.text, second.attempt, second.restarts) == ("new", 2, 1)
    assert second.retry_in_s is None


def test_the_end_of_an_attempt_keeps_what_it_showed() -> None:
    view = seen(*in_epoch(1, [STARTED, frames.Token("all")]), (2, 1, frames.Succeeded(result=1)))

    assert (view.text, view.restarts) == ("all", 0)


def test_a_reset_replaces_everything() -> None:
    view = seen(*in_epoch(1, [STARTED, frames.Token("half of it")]))
    snapshot = {"state": "running", "attempt": 2, "progress": 0.75, "output": None, "error": None}

    view = see(view, Position(5, 1), frames.Reset(snapshot=snapshot))

    assert (view.text, view.state, view.attempt, view.fraction) == ("", "running", 2, 0.75)
    assert view.cursor == Position(5, 1)


def test_a_stage_keeps_its_steps_and_a_new_stage_begins_its_own() -> None:
    told: list[Frame] = [
        frames.Progress(fraction=0.2, step=2, steps=10, stage="drawing"),
        frames.Progress(fraction=0.3, stage="drawing"),
    ]
    drawing = seen(*in_epoch(1, told))
    storing = seen((1, 3, frames.Progress(stage="storing")), view=drawing)

    assert (drawing.step, drawing.steps, drawing.fraction) == (2, 10, 0.3)
    assert (storing.step, storing.steps, storing.fraction) == (None, None, None)


def test_lines_are_bounded_and_counted() -> None:
    view = seen(*in_epoch(1, [frames.Log(f"line {number}") for number in range(LINES + 50)]))

    assert (len(view.lines), view.lines[0], view.line_count) == (LINES, "line 50", LINES + 50)


@pytest.mark.parametrize(
    ("frame", "state"),
    [
        (frames.Failed(error={"kind": "input"}), "failed"),
        (frames.Dead(error={"kind": "internal"}), "dead"),
        (frames.Cancelled(), "cancelled"),
    ],
)
def test_every_end_is_an_end(frame: Any, state: str) -> None:
    view = seen((0, 1, QUEUED), (1, 1, frame))

    assert (view.state, view.ended) == (state, True)
