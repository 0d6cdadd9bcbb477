"""The echo engine: the same in, the same out, and wrong only as asked."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import pytest

from headrace.contracts.frames import Log, Metric, Progress
from headrace.engines.echo.engine import CRASH_CODE, EchoEngine
from headrace.engines.engine import BadInput, OutOfMemory, Stopped, TryAgain
from headrace.testkit.work import RecordedWork, work_for


def an_echo(*, attempt: int = 1, stop_after: int | None = None, **given: Any) -> RecordedWork:
    return work_for(
        EchoEngine, {"text": "one two", **given}, attempt=attempt, stop_after=stop_after
    )


def test_it_says_back_what_it_is_told_word_by_word() -> None:
    work = an_echo(repeat=2)

    output = EchoEngine().run(work)

    assert output == {"text": "one two one two", "words": 4}
    assert work.text == output["text"]
    assert work.said(Log) == [Log("4 words to say")]
    assert work.said(Metric) == [Metric("words", 4)]


def test_progress_counts_steps_and_words_and_ends_at_one() -> None:
    work = an_echo(steps=2)

    EchoEngine().run(work)

    assert [frame.fraction for frame in work.said(Progress)] == [0.25, 0.5, 0.75, 1.0]
    assert [(frame.step, frame.steps) for frame in work.said(Progress)][:2] == [(1, 2), (2, 2)]


def test_the_same_input_gives_the_same_frames() -> None:
    first, second = an_echo(steps=1), an_echo(steps=1)

    EchoEngine().run(first)
    EchoEngine().run(second)

    assert first.frames == second.frames


def test_it_stops_between_two_words() -> None:
    work = an_echo(repeat=100, stop_after=5)

    with pytest.raises(Stopped):
        EchoEngine().run(work)

    assert len(work.frames) == 5


def test_it_stops_during_a_long_rest() -> None:
    work = an_echo(delay_s=3600, stop_after=3)

    with pytest.raises(Stopped):
        EchoEngine().run(work)


@pytest.mark.parametrize(
    ("fail", "error"),
    [
        ("input", BadInput),
        ("transient", TryAgain),
        ("resource", OutOfMemory),
        ("internal", RuntimeError),
    ],
)
def test_it_fails_half_way_as_asked(fail: str, error: type[Exception]) -> None:
    work = an_echo(fail=fail)

    with pytest.raises(error, match="as asked"):
        EchoEngine().run(work)

    assert work.text == "one"


def test_it_fails_only_the_first_attempts() -> None:
    with pytest.raises(TryAgain):
        EchoEngine().run(an_echo(fail="transient", fail_attempts=1, attempt=1))

    assert EchoEngine().run(an_echo(fail="transient", fail_attempts=1, attempt=2))["words"] == 2


def test_a_crash_takes_the_process_with_it() -> None:
    script = textwrap.dedent("""
        from headrace.engines.echo.engine import EchoEngine
        from headrace.testkit.work import work_for
        EchoEngine().run(work_for(EchoEngine, {"text": "one", "fail": "crash"}))
    """)

    ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=30)  # noqa: S603

    assert ended.returncode == CRASH_CODE
