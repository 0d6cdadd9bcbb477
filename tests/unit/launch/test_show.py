"""What a person reads: on a terminal, and where the output goes to a file."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import pytest
from rich.console import Console

from headrace.contracts import frames
from headrace.contracts.frames import Frame
from headrace.contracts.ids import Position
from headrace.launch.pace import Pace
from headrace.launch.show import PlainShow, TerminalShow, settled
from headrace.launch.view import View, see
from headrace.launch.words import how_far, outcome, seconds, standing, why_not

STARTED = frames.Started(worker="w1", attempt=1)
STORY: Sequence[Frame] = (
    STARTED,
    frames.Progress(fraction=0.0, step=0, steps=4, stage="reading"),
    frames.Log("one line"),
    frames.Token("Hello"),
    frames.Token(" world"),
)


def views(*told: Frame, epoch: int = 1, view: View | None = None) -> list[View]:
    view, found = view or View(), []
    for seq, frame in enumerate(told, 1):
        view = see(view, Position(epoch, seq), frame)
        found.append(view)
    return found


def plain(*each: View) -> tuple[str, str]:
    said, notes = io.StringIO(), io.StringIO()
    with PlainShow(said, notes) as show:
        for view in each:
            show.see(view)
    return said.getvalue(), notes.getvalue()


def terminal(*each: View, width: int = 40) -> str:
    """What stays on the screen when all is over."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=width, height=30, _environ={})
    with TerminalShow(console) as show:
        for view in each:
            show.see(view)
    return screen(written.getvalue())


def screen(written: str) -> str:
    """A terminal as small as rich's live display needs: up, erase, write."""
    lines, row = [""], 0
    for control, text in re.findall(r"(\x1b\[[0-9;?]*[A-Za-z]|[\r\n])|([^\x1b\r\n]+)", written):
        match control:
            case "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            case "\x1b[1A":
                row -= 1
            case "\x1b[2K":
                lines[row] = ""
            case _:
                pass
        lines[row] += text
    return "\n".join(line.rstrip() for line in lines).rstrip()


def test_a_pipe_gets_the_text_and_nothing_else() -> None:
    said, notes = plain(*views(*STORY))

    assert said == "Hello world\n"
    assert notes == "running\nreading\n  one line\n"
    assert "\x1b" not in said + notes


def test_a_pipe_is_told_of_every_quarter() -> None:
    steps = [frames.Progress(fraction=n / 8, step=n, steps=8, stage="drawing") for n in range(9)]

    _, notes = plain(*views(STARTED, *steps))

    assert notes.splitlines() == [
        "running",
        "drawing",
        "drawing 2/8",
        "drawing 4/8",
        "drawing 6/8",
        "drawing 8/8",
    ]


def test_a_new_attempt_is_announced_and_begins_on_its_own_line() -> None:
    first = views(*STORY)
    lost = views(frames.Attempt(attempt=2, reason="worker lost"), epoch=2, view=first[-1])
    second = views(STARTED, frames.Token("Again"), epoch=3, view=lost[-1])

    said, notes = plain(*first, *lost, *second)

    assert said == "Hello world\nAgain\n"
    assert "starting over: worker lost" in notes
    assert terminal(*first, *lost, *second).splitlines()[-3:] == [
        "Hello world",
        "starting over: worker lost",
        "Again",
    ]  # and nothing of what was live


def test_a_terminal_breaks_lines_between_words() -> None:
    shown = terminal(*views(STARTED, frames.Token("one two three four five six seven")), width=12)

    assert shown == "one two\nthree four\nfive six\nseven"


def test_escape_sequences_in_what_a_model_writes_reach_no_terminal() -> None:
    evil = views(STARTED, frames.Token("a\x1b[2Jb\x07\x9b31mc"))

    said, _ = plain(*evil)

    assert said == "a[2Jb31mc\n"
    assert "a[2Jb31mc" in terminal(*evil)


@pytest.mark.parametrize(
    ("text", "lines", "rest"),
    [
        ("short", [], "short"),
        ("two\nlines", ["two"], "lines"),
        ("one two three", ["one two"], "three"),
        ("unbreakableword", ["unbreakabl"], "eword"),
        ("", [], ""),
        ("\n\nx", ["", ""], "x"),
        ("漢字漢字漢字", ["漢字漢字漢"], "字"),
    ],
)
def test_lines_settle_when_no_further_text_can_change_them(
    text: str, lines: list[str], rest: str
) -> None:
    assert settled(text, 10) == (lines, rest)


def test_a_pace_is_that_of_the_last_seconds() -> None:
    pace = Pace()
    assert pace.rate is None
    for tick in range(100):
        pace.mark(tick * 2, now=tick * 0.1)
    assert pace.rate == pytest.approx(20)
    pace.mark(1, now=10)
    assert pace.rate is None, "a count that falls is another count"


@pytest.mark.parametrize(
    ("duration_s", "said"),
    [(0.0004, "0.4 ms"), (0.05, "50 ms"), (1.5, "1.50 s"), (12.34, "12.3 s"), (125, "2 min 5 s")],
)
def test_times_have_the_digits_that_matter(duration_s: float, said: str) -> None:
    assert seconds(duration_s) == said


def test_where_a_job_stands_in_words() -> None:
    assert standing(View(ahead=3)) == "queued, 3 ahead"
    assert standing(View(retry_in_s=2.5)) == "tries again in 2.50 s"
    assert standing(View(state="running", stage="drawing")) == "drawing"
    assert how_far(View(step=3, steps=8, fraction=0.4)) == "3/8"
    assert how_far(View(fraction=0.4)) == "40%"


def test_the_last_line_says_how_it_ended() -> None:
    job = {
        "attempt": 2,
        "created_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T00:00:02.5Z",
    }
    view = View(state="succeeded", tokens=40, metrics={"tokens_per_s": 99.6})

    assert outcome(view, job) == "succeeded in 2.50 s · 40 tokens at 100/s · 2 attempts"


def test_an_error_names_its_field_once() -> None:
    assert why_not({"kind": "input", "message": "is missing", "field": "prompt"}) == (
        "prompt is missing"
    )
    assert why_not({"kind": "input", "message": "prompt: is missing", "field": "prompt"}) == (
        "prompt: is missing"
    )
    assert why_not(None) == "no reason was given"
