"""What each campaign asks is read from the rows of its run."""

from __future__ import annotations

import pytest

from headrace.testkit.load.facts import facts_of
from headrace.testkit.load.figures import evidence_of
from headrace.testkit.load.rows import Accepted, Ended, Happened, Measured, Row


def waits(begins: int, ends: int, ms: float) -> list[Row]:
    return [Measured(at + 0.5, "queue wait", ms) for at in range(begins, ends)]


def test_a_spike_is_over_with_the_last_job_that_waited() -> None:
    stages = [Happened(0.0, "calm"), Happened(20.0, "spike"), Happened(30.0, "calm again")]
    rows = [*stages, *waits(0, 20, 30.0), *waits(20, 36, 5000.0), *waits(36, 60, 40.0)]

    facts = facts_of("spike", evidence_of(sorted(rows, key=lambda row: row.at)))

    assert facts["recovery s"] == 5.5
    assert facts["spike queue wait p95 ms"] == 5000.0


def test_a_neighbour_s_wait_is_told_beside_its_wait_alone() -> None:
    rows = [
        Happened(0.0, "alone"),
        *waits(0, 20, 30.0),
        Happened(20.0, "beside the flood"),
        *waits(20, 40, 230.0),
        Measured(39.0, "submit of the flood", 9.0),
        Measured(39.5, "submit of the flood", 9.0, "HTTP 429"),
    ]

    facts = facts_of("noisy-neighbour", evidence_of(rows))

    assert facts["wait added p95 ms"] == pytest.approx(200.0)
    assert facts["flood"] == 1


def test_a_ramp_counts_the_jobs_of_the_fullest_stage_in_which_nobody_waited() -> None:
    rows: list[Row] = [Happened(0.0, "2"), Happened(10.0, "5"), Happened(20.0, "10")]
    for begins, each_s, ms in ((0, 2, 10.0), (10, 5, 200.0), (20, 8, 9000.0)):
        for at in range(begins, begins + 10):
            rows += [Measured(at + 0.1, "total", 50.0)] * each_s
            rows += [Measured(at + 0.1, "queue wait", ms)]
    rows = sorted([*rows, Measured(30.0, "submit", 1.0)], key=lambda row: row.at)

    assert facts_of("ramp", evidence_of(rows)) == {"jobs a second without a wait": 5.0}


def test_a_soak_tells_how_much_slower_it_got() -> None:
    rows: list[Row] = [Happened(0.0, "5 users")]
    rows += [Measured(at, "total", 100.0 if at < 60 else 150.0) for at in range(1, 91)]

    assert facts_of("soak", evidence_of(rows)) == {"slower at the end, times": 1.5}


def test_a_crowd_is_as_large_as_it_was_at_once() -> None:
    rows: list[Row] = [Happened(0.0, "100 conversations")]
    rows += [Accepted(1.0 + n / 100, f"job {n}", "load") for n in range(7)]
    rows += [Ended(2.0, f"job {n}", "succeeded") for n in range(3)]
    rows += [Measured(1.5, "chunk late", 12.0), Measured(2.0, "total", 1000.0)]

    facts = facts_of("stream-crowd", evidence_of(sorted(rows, key=lambda row: row.at)))

    assert facts["streams at once"] == 7
    assert facts["chunk late p95 ms, 100"] == 12.0
