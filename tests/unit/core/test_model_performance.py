"""Versions beside each other: what is counted, and when a difference is called one."""

from __future__ import annotations

import pytest

from headrace.core.job import State
from headrace.core.model_performance import (
    Latency,
    Performance,
    compare_failures,
    compare_means,
    performance,
)
from headrace.core.ports.models import Outcome


def outcomes(*, good: int = 0, bad: int = 0, value: float | None = None) -> list[Outcome]:
    states = [State.SUCCEEDED] * good + [State.FAILED] * bad
    return [Outcome(state, 0.1, 1.0, value) for state in states]


def of_values(version: int, values: list[float]) -> Performance:
    return performance(version, [Outcome(State.SUCCEEDED, 0.0, 0.0, value) for value in values])


def test_dead_jobs_failed_and_cancelled_ones_count_for_nothing_else() -> None:
    states = [State.SUCCEEDED, State.FAILED, State.DEAD, State.CANCELLED]

    found = performance(3, [Outcome(state, 0.1, 1.0, 5.0) for state in states])

    assert (found.succeeded, found.failed, found.cancelled) == (1, 2, 1)
    assert found.failure_rate == pytest.approx(2 / 3)
    assert len(found.values) == 3


def test_latency_is_of_the_nearest_rank() -> None:
    found = performance(1, [Outcome(State.SUCCEEDED, n / 10, float(n), None) for n in range(1, 21)])

    assert found.queue == Latency(p50=1.0, p95=1.9)
    assert found.run == Latency(p50=10.0, p95=19.0)


def test_of_no_jobs_nothing_is_said() -> None:
    found = performance(1, [])

    assert (found.failure_rate, found.queue, found.run, found.mean) == (None, None, None, None)
    assert compare_failures(found, found).p is None
    assert compare_means(found, found).p is None


def test_a_large_difference_in_failures_is_one_and_names_the_worse_version() -> None:
    """By hand: pooled 0.06, standard error 0.0075, z = 10.6 (and the other way round)."""
    good = performance(1, outcomes(good=980, bad=20))
    bad = performance(2, outcomes(good=900, bad=100))

    for found in (compare_failures(good, bad), compare_failures(bad, good)):
        assert found.differs
        assert found.p is not None
        assert found.p < 1e-10
        assert "version 2 fails more often" in found.said


def test_a_p_value_is_that_of_the_textbook() -> None:
    """40 of 400 beside 60 of 400: pooled 0.125, z = 0.05 / 0.023385 = 2.1381, p = 0.0325."""
    found = compare_failures(
        performance(1, outcomes(good=360, bad=40)), performance(2, outcomes(good=340, bad=60))
    )

    assert found.p == pytest.approx(0.0325, abs=1e-4)


def test_a_small_difference_is_not_called_one() -> None:
    found = compare_failures(
        performance(1, outcomes(good=950, bad=50)), performance(2, outcomes(good=945, bad=55))
    )

    assert not found.differs
    assert "no difference shown" in found.said


@pytest.mark.parametrize(("good", "bad"), [(1000, 0), (10, 2), (2, 0)])
def test_too_few_failures_say_nothing(good: int, bad: int) -> None:
    found = compare_failures(
        performance(1, outcomes(good=good, bad=bad)), performance(2, outcomes(good=good))
    )

    assert (found.p, found.differs) == (None, False)
    assert "too few" in found.said


def test_means_differ_by_more_than_their_spread_or_not_at_all() -> None:
    low, high = [1.0, 3.0] * 50, [2.0, 4.0] * 50

    apart = compare_means(of_values(1, high), of_values(2, low))
    same = compare_means(of_values(1, low), of_values(2, [3.0, 1.0] * 50))

    assert apart.differs
    assert "version 1 has the higher mean" in apart.said
    assert (same.p, same.differs) == (1.0, False)


def test_values_that_never_vary_differ_if_they_are_others() -> None:
    ones, twos = of_values(1, [1.0] * 30), of_values(2, [2.0] * 30)

    assert compare_means(ones, twos).differs
    assert not compare_means(ones, of_values(2, [1.0] * 30)).differs
    assert compare_means(of_values(1, [1.0] * 29), twos).p is None
