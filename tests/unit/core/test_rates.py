"""So many within a while, and then a wait that is as long as it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.rates import Rate, Windows, rates


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_rates_are_read_as_they_are_written() -> None:
    assert rates("2/s 90/min") == (Rate(2, 1.0), Rate(90, 60.0))


@pytest.mark.parametrize("text", ["2", "0/s", "2/day", "-1/s", "two/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        rates(text)


def test_the_slowest_of_several_counts_and_a_refusal_is_not_counted() -> None:
    clock = Clock()
    windows, both = Windows(clock), [("a", Rate(2, 1.0)), ("a", Rate(3, 60.0))]

    first = [windows.wait_s(both) for _ in range(3)]
    clock.now = 1.0
    then = [windows.wait_s(both) for _ in range(2)]

    assert first == [0, 0, 1.0]
    assert then == [0, 59.0]


@given(st.lists(st.floats(0, 1.5), max_size=60))
def test_no_more_come_in_any_window_however_they_come(pauses: list[float]) -> None:
    clock, rate = Clock(), Rate(3, 2.0)
    windows = Windows(clock)
    came = []
    for pause in pauses:
        clock.now += pause
        if windows.wait_s([("a", rate)]) == 0:
            came.append(clock.now)

    assert all(later - first >= rate.within_s for first, later in zip(came, came[3:], strict=False))
