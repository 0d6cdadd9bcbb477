"""The report can be read by a person alone: the verdict first, nothing from elsewhere."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from headrace.testkit.load.account import Account
from headrace.testkit.load.campaigns import CAMPAIGNS
from headrace.testkit.load.drive import Outcome
from headrace.testkit.load.figures import evidence_of
from headrace.testkit.load.judging import Limits, judge
from headrace.testkit.load.rows import Accepted, Ended, Happened, Measured, Row
from headrace.testkit.load.settings import LoadSettings
from headrace.testkit.load.writing import summary, write_report


def outcome_of(folder: Path, *, error: str = "") -> Outcome:
    rows: list[Row] = [
        Happened(0.0, "5 users"),
        Accepted(1.0, "job", "load"),
        Measured(1.0, "submit", 12.0, error),
        Happened(2.0, "<one> worker killed"),
        Ended(3.0, "job", "succeeded"),
        Measured(3.0, "total", 2000.0),
    ]
    evidence = evidence_of(rows, lost=0)
    return Outcome(
        campaign=CAMPAIGNS["worker-loss"],
        settings=LoadSettings(
            campaign="worker-loss",
            url="",
            keys={},
            admin_key="",
            mode="EDA",
            minutes=None,
            processes=2,
        ),
        folder=folder,
        evidence=evidence,
        account=Account((), (), 0),
        verdict=judge(evidence, Limits(at_most={"errors": 0})),
        against="a stack of its own",
    )


@pytest.mark.parametrize(("error", "word"), [("", "Passed"), ("HTTP 503", "Failed")])
def test_the_verdict_comes_before_every_figure(tmp_path: Path, error: str, word: str) -> None:
    write_report(outcome_of(tmp_path, error=error))

    page = (tmp_path / "report.html").read_text()
    assert page.index(f"<b>{word}</b>") < page.index("<table>")
    assert ("HTTP 503" in page) == bool(error)


def test_it_needs_nothing_from_elsewhere_and_escapes_what_it_shows(tmp_path: Path) -> None:
    write_report(outcome_of(tmp_path))

    page = (tmp_path / "report.html").read_text()
    assert re.findall(r"https?://|<script|<link|@import|src=", page) == []
    assert "&lt;one&gt; worker killed" in page
    assert "<one>" not in page


def test_the_tables_hold_every_measure_and_event(tmp_path: Path) -> None:
    write_report(outcome_of(tmp_path))

    measured = list(csv.DictReader((tmp_path / "measured.csv").read_text().splitlines()))
    events = list(csv.DictReader((tmp_path / "events.csv").read_text().splitlines()))
    assert [row["name"] for row in measured] == ["submit", "total"]
    assert [row["what"] for row in events] == ["5 users", "<one> worker killed"]


def test_the_last_line_for_the_terminal_is_the_verdict(tmp_path: Path) -> None:
    said = summary(outcome_of(tmp_path, error="HTTP 503")).splitlines()

    assert said[-1].startswith("worker-loss: FAILED: errors is 1")
