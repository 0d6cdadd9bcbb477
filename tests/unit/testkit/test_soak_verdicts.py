"""What grows is called so, what does not is not, and who cannot tell says that."""

from __future__ import annotations

from math import exp
from random import Random

import pytest

from headrace.testkit.soak.slopes import slope_of
from headrace.testkit.soak.verdicts import Line, verdict_of, verdicts

HALF_AN_HOUR = range(0, 1800, 5)
LEVEL = 100.0


def series(per_hour: float, *, noise: float = 0.2, outliers: int = 0) -> list[tuple[float, float]]:
    random = Random(7)
    points: list[tuple[float, float]] = [
        (at, LEVEL + per_hour * at / 3600 + random.gauss(0, noise)) for at in HALF_AN_HOUR
    ]
    for place in random.sample(range(len(points)), outliers):
        points[place] = (points[place][0], 10 * LEVEL)
    return points


@pytest.mark.parametrize("per_hour", [-5.0, 0.0, 2.0, 40.0])
def test_the_slope_is_found_between_its_bounds(per_hour: float) -> None:
    slope = slope_of(series(per_hour, outliers=20))

    assert slope is not None
    assert slope.least < per_hour < slope.most
    assert slope.per_hour == pytest.approx(per_hour, abs=0.5)


@pytest.mark.parametrize(
    ("per_hour", "noise", "word"),
    [(3.0, 0.2, "grows"), (0.2, 0.2, "flat"), (-3.0, 0.2, "falls"), (1.0, 5.0, "undecided")],
)
def test_a_slope_is_judged_by_its_whole_interval(per_hour: float, noise: float, word: str) -> None:
    line = Line(name="memory", percent_an_hour=1.0)

    verdict = verdict_of(line, series(per_hour, noise=noise), warm_from_s=0)

    assert verdict.word == word
    assert verdict.bad is (word == "grows")


def test_what_grows_while_it_warms_up_is_excused() -> None:
    warming = [(at, min(LEVEL, at / 11)) for at in HALF_AN_HOUR]
    line = Line(name="memory", percent_an_hour=1.0)

    assert verdict_of(line, warming, warm_from_s=0).word == "grows"
    assert verdict_of(line, warming, warm_from_s=1150).word == "flat"


def test_a_limit_holds_from_the_first_reading_on() -> None:
    line = Line(name="connections", at_most=LEVEL + 50, an_hour=2.0)

    assert verdict_of(line, series(0), warm_from_s=600).word == "flat"
    assert verdict_of(line, [(0.0, 151.0), *series(0)[1:]], warm_from_s=600).word == "over"


def test_a_short_run_tells_no_slope() -> None:
    line = Line(name="memory", percent_an_hour=1.0)

    assert verdict_of(line, series(1000)[:5], warm_from_s=0).word == "too short"


def test_a_line_without_bounds_is_only_told() -> None:
    assert verdict_of(Line(name="size"), series(1000), warm_from_s=0).word == "seen"


@pytest.mark.parametrize(("kilobytes_a_job", "word"), [(1.0, "grows"), (0.0, "flat")])
def test_half_an_hour_tells_a_leak_of_a_kilobyte_a_job_from_a_cache_that_fills(
    kilobytes_a_job: float, word: str
) -> None:
    """A job a second, as each of two workers has it, and a cache of 4 MB that fills all the while."""
    random = Random(7)
    memory = [
        (at, LEVEL + 4 * (1 - exp(-at / 200)) + at * kilobytes_a_job / 1000 + random.gauss(0, 0.1))
        for at in HALF_AN_HOUR
    ]

    judged = verdicts({"gpu-worker: memory": memory}, warm_from_s=360, settled_from_s=900)

    assert [each.word for each in judged if each.line.name == "gpu-worker: memory"] == [word]
