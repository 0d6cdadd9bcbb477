"""What is told to everybody about models: how fast each is."""

from __future__ import annotations

from headrace.core.ports.figures import Period, Tally
from headrace.core.usecases.census import Census


def a_census(*tallies: Tally) -> Census:
    return Census(served=[], crews={}, loads=[], tallies=tallies, remotes=[], all_paused=False)


def a_tally(model: str, within: Period, *, work: int, work_ms: int) -> Tally:
    return Tally(kind="image", model=model, within=within, jobs=1, work=work, work_ms=work_ms)


def test_a_model_is_as_fast_as_its_work_and_the_time_of_that_say() -> None:
    seen = a_census(
        a_tally("one", Period.MINUTE, work=6_000_000, work_ms=2_000),
        a_tally("one", Period.TOTAL, work=4_000_000, work_ms=3_000),
        a_tally("other", Period.DAY, work=1, work_ms=1_000),
    )

    assert seen.speed("image", "one") == 2_000_000
    assert seen.speed("text", "one") == 0.0


def test_what_was_never_measured_is_no_speed() -> None:
    seen = a_census(a_tally("one", Period.MINUTE, work=0, work_ms=0))

    assert seen.speed("image", "one") == 0.0
