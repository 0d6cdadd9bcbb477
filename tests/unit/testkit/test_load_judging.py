"""A load run is held to its thresholds, and one that shows nothing fails and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from headrace.testkit.load.campaigns import CAMPAIGNS
from headrace.testkit.load.figures import CHECKED, CPU, LATE, evidence_of
from headrace.testkit.load.judging import Limits, judge, read_limits
from headrace.testkit.load.rows import Accepted, Ended, Gauge, Happened, Measured, Row

LIMITS_FILE: Final = Path(__file__).parents[2] / "load/thresholds.toml"
LIMITS: Final = Limits(
    at_most={"errors": 0, "lost": 0, "submit p95 ms": 100, f"{LATE} p95": 100, f"{CPU} p95": 90},
    at_least={"jobs": 3},
)


def a_run(*more: Row, jobs: int = 3, submit_ms: float = 50.0, late_ms: float = 2.0) -> list[Row]:
    """Every job accepted, and seen to its end a second later."""
    rows: list[Row] = [
        Happened(0.0, "5 users"),
        Gauge(1.0, LATE, late_ms),
        Gauge(1.0, CPU, 10.0),
    ]
    for number in range(jobs):
        rows += [
            Measured(number, "submit", submit_ms),
            Accepted(number, f"job {number}", "load"),
            Ended(number + 1, f"job {number}", "succeeded"),
            Measured(number + 1, CHECKED, 0.0),
        ]
    return sorted([*rows, *more], key=lambda row: row.at)


def test_a_run_that_holds_everything_passes() -> None:
    verdict = judge(evidence_of(a_run(), lost=0), LIMITS)

    assert (verdict.line, verdict.reasons) == ("PASSED", [])


def test_a_run_that_sent_nothing_fails_with_those_words_alone() -> None:
    verdict = judge(evidence_of([Happened(0.0, "5 users")]), LIMITS)

    assert verdict.line == "FAILED: it sent nothing"


def test_a_dead_host_fails_and_the_reason_is_the_error() -> None:
    refused = [Measured(at, "submit", 1.0, "connection refused") for at in range(5)]

    verdict = judge(evidence_of(refused, lost=0), LIMITS)

    assert verdict.reasons[0] == "nothing was accepted"
    assert "errors is 5, and may be at most 0" in verdict.reasons
    assert verdict.reasons[-1] == "most often (5 times) submit: connection refused"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (Gauge(1.0, LATE, 900.0), "its loop woke up 8"),
        (Gauge(1.0, CPU, 99.0), "it used 9"),
    ],
)
def test_a_client_that_was_the_slow_one_measured_itself(row: Gauge, why: str) -> None:
    verdict = judge(evidence_of(a_run(row), lost=0), LIMITS)

    assert verdict.reasons[0].startswith(f"it measured itself instead of the service: {why}")


def test_what_was_not_measured_does_not_hold() -> None:
    verdict = judge(evidence_of(a_run()), LIMITS)

    assert verdict.reasons == ["lost was not measured"]


def test_a_lost_job_fails_the_run() -> None:
    verdict = judge(evidence_of(a_run(), lost=1), LIMITS)

    assert verdict.reasons == ["lost is 1, and may be at most 0"]


def test_a_slow_service_fails_the_run() -> None:
    verdict = judge(evidence_of(a_run(submit_ms=400.0), lost=0), LIMITS)

    assert verdict.reasons == ["submit p95 ms is 400, and may be at most 100"]


def test_a_wrong_answer_fails_every_campaign_whatever_its_name() -> None:
    wrong = Measured(2.0, CHECKED, 0.0, "the answer is 'x', and 'y' was right")

    for campaign in CAMPAIGNS:
        verdict = judge(evidence_of(a_run(wrong), lost=0), read_limits(LIMITS_FILE, campaign))
        assert "wrong is 1, and may be at most 0" in verdict.reasons
        assert "was right" in verdict.reasons[-1]


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_every_campaign_is_judged_by_errors_losses_its_own_process_and_more(campaign: str) -> None:
    limits = read_limits(LIMITS_FILE, campaign)

    assert {"errors", "lost", "wrong", f"{LATE} p95", f"{CPU} p95"} <= limits.at_most.keys()
    assert len(limits.at_most) > len(read_limits(LIMITS_FILE, "every").at_most)
