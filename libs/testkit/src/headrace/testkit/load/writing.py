"""Writes what a run found: a page for people, tables for programs, a few lines for the terminal."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from headrace.testkit.load.drive import Outcome
from headrace.testkit.load.figures import told
from headrace.testkit.load.page import page
from headrace.testkit.load.summary import measures


def write_report(outcome: Outcome) -> None:
    folder, evidence = outcome.folder, outcome.evidence
    (folder / "report.html").write_text(page(outcome))
    _table(
        folder / "figures.csv",
        ("figure", "value"),
        sorted(outcome.verdict.figures.items()),
    )
    _table(
        folder / "measured.csv",
        ("at", "name", "ms", "error"),
        (
            (f"{each.at:.3f}", each.name, f"{each.ms:.2f}", each.error)
            for some in evidence.measured.values()
            for each in some
        ),
    )
    _table(
        folder / "events.csv",
        ("at", "what"),
        ((f"{each.at:.3f}", each.what) for each in evidence.happened),
    )


def _table(file: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(head)
        writer.writerows(rows)


def summary(outcome: Outcome) -> str:
    """The last line is the verdict."""
    lines = [f"| {'ms':24} | times | failed |      p50 |      p95 |      p99 |"]
    lines += [
        f"| {each.name:24} | {each.times:5} | {each.failed:6} | "
        + " | ".join(f"{value:8,.1f}" for value in [*each.values[:3], *[0.0] * 3][:3])
        + " |"
        for each in measures(outcome.evidence)
    ]
    lines += [
        f"{'  holds' if check.held else 'DOES NOT'}  {check.name}: "
        f"{'not measured' if check.found is None else told(check.found)} ({check.word} {check.limit:,g})"
        for check in outcome.verdict.checks
    ]
    report = outcome.folder / "report.html"
    return "\n".join(
        [*lines, f"Report: {report}", f"{outcome.campaign.name}: {outcome.verdict.line}"]
    )
