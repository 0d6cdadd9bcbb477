"""What a producer says next: numbered, in order, repeated until it is answered, and ended once."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from headrace.contracts.frames import Cancelled, Log, Progress
from headrace.contracts.logs import APPEND
from headrace.contracts.producing import OPEN, RENEW, End
from headrace.streams.errors import Stopped, StreamOver, StreamsUnavailable
from headrace.streams.line import Call, Line
from headrace.streams.options import FRAMES_AT_ONCE, MAX_FRAME_BYTES, Options

TASK = "0b6c1f0e-6b1d-4a57-9c2f-0d9a4c1b7a11"
EPOCH = 3


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def line(clock: Clock) -> Line:
    """Opened in epoch 3."""
    line = a_line(clock)
    assert said(line).script is OPEN
    line.answered([EPOCH])
    return line


def a_line(clock: Clock, task: str = TASK) -> Line:
    options = Options(lease_s=10, patience_s=30)
    return Line(task, namespace="ns", name="me", options=options, clock=clock, random=Random(1))


def said(line: Line) -> Call:
    call = line.next_call()
    assert call is not None
    return call


def numbers(call: Call) -> tuple[Any, ...]:
    """Epoch and first number of a batch."""
    assert call.script is APPEND
    return call.arguments[:2]


def test_chunks_are_numbered_from_two_in_its_own_epoch(line: Line) -> None:
    line.put("one")
    line.put(Progress(fraction=0.5))
    first = said(line)
    line.answered(1)
    line.put("two")
    second = said(line)

    assert (numbers(first), first.frames) == ((EPOCH, 2), 2)
    assert (numbers(second), second.frames) == ((EPOCH, 4), 1)


def test_what_was_not_answered_is_said_again_word_for_word(line: Line) -> None:
    line.put("one")
    first = said(line)
    line.trouble("gone")
    line.put("two")

    assert said(line) == first


def test_chunks_wait_for_each_other_for_a_moment_and_many_do_not_wait(
    line: Line, clock: Clock
) -> None:
    line.put("one")
    assert 0 < line.wait_s() <= 0.02

    for _ in range(FRAMES_AT_ONCE):
        line.put("more")

    assert line.wait_s() == 0
    assert said(line).frames == FRAMES_AT_ONCE


def test_it_says_that_it_lives_while_it_has_nothing_to_say(line: Line, clock: Clock) -> None:
    assert 0 < line.wait_s() <= 2.0
    assert line.next_call() is None

    clock.now += 2.0

    assert line.wait_s() == 0
    assert said(line).script is RENEW


def test_the_last_word_comes_after_every_chunk_and_once(line: Line) -> None:
    line.put("one")
    line.end(End("succeeded", output={"text": "one"}))

    assert said(line).script is APPEND
    line.answered(1)
    last = said(line)
    line.answered(1)

    assert last.script is RENEW
    assert msgspec.json.decode(str(last.arguments[-1]), type=End).output == {"text": "one"}
    assert line.ended
    assert line.next_call() is None


def test_redis_that_is_away_for_too_long_is_a_failure_for_good(line: Line, clock: Clock) -> None:
    line.put("one")
    said(line)
    pauses = [line.trouble("refused") for _ in range(20)]
    clock.now += 30

    assert line.failure is None
    line.trouble("refused")

    assert max(pauses) <= 2.0
    assert isinstance(line.failure, StreamsUnavailable)
    assert line.next_call() is None
    with pytest.raises(StreamsUnavailable, match="refused"):
        line.put("two")


def test_redis_that_comes_back_in_time_is_forgiven(line: Line, clock: Clock) -> None:
    line.put("one")
    said(line)
    line.trouble("refused")
    clock.now += 29
    line.answered(1)
    clock.now += 29
    said(line)
    line.trouble("refused")

    assert line.failure is None


@pytest.mark.parametrize("script", [APPEND, RENEW])
def test_who_was_shut_out_learns_it_from_any_answer(line: Line, clock: Clock, script: str) -> None:
    line.put("one")
    clock.now += 2.0 if script is RENEW else 0.0
    assert said(line).script is script
    line.answered(0)

    with pytest.raises(StreamOver):
        line.put("two")


def test_what_is_over_cannot_be_opened(clock: Clock) -> None:
    line = a_line(clock)
    said(line)
    line.answered([0])

    assert isinstance(line.failure, StreamOver)


def test_a_wish_to_stop_is_raised_by_the_next_chunk(line: Line, clock: Clock) -> None:
    clock.now += 2.0
    said(line)
    line.answered(2)

    assert line.stop_asked
    with pytest.raises(Stopped):
        line.put("one")


def test_what_is_too_large_or_ends_the_stream_is_no_chunk(line: Line) -> None:
    with pytest.raises(ValueError, match="at most"):
        line.put(Log("x" * MAX_FRAME_BYTES))
    with pytest.raises(ValueError, match="leaving the block"):
        line.put(Cancelled())

    assert line.next_call() is None


@pytest.mark.parametrize("output", [{"text": "x" * (2 << 20)}, {"text": object()}])
def test_an_output_that_cannot_be_said_ends_the_stream_as_failed(
    line: Line, output: dict[str, Any]
) -> None:
    with pytest.raises((TypeError, ValueError)):
        line.end(End("succeeded", output=output))

    assert msgspec.json.decode(str(said(line).arguments[-1]), type=End).outcome == "failed"


@pytest.mark.parametrize("task", ["", "task-1", "{x}", TASK.upper(), f"{TASK} "])
def test_an_id_that_is_none_is_refused_before_redis_is_asked(clock: Clock, task: str) -> None:
    with pytest.raises(ValueError, match="task id"):
        a_line(clock, task)
