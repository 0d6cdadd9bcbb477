"""A timeline drawn to scale: nothing lost, nothing counted twice."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from rich.console import Console

from headrace.launch.chart import bars, blocks, chart


def timeline(**stages: float) -> dict[str, Any]:
    """Two seconds in all: waited half, granted, ended."""
    return {
        "created_at": "2026-01-01T00:00:00Z",
        "attempts": [
            {
                "attempt": 1,
                "started_at": "2026-01-01T00:00:00.5Z",
                "ended_at": "2026-01-01T00:00:02Z",
                "waited_s": 0.5,
                "stages": {"claim_s": 0.1, "load_s": 0.2, "run_s": 1.0, "store_s": 0.1} | stages,
            }
        ],
    }


def test_the_bars_follow_one_another_and_add_up() -> None:
    drawn = bars(timeline())

    assert [bar.stage for bar in drawn] == ["queue", "claim", "load", "run", "store", "record"]
    assert sum(bar.length_s for bar in drawn) == pytest.approx(2.0)
    for before, after in pairwise(drawn):
        assert before.start_s + before.length_s == pytest.approx(after.start_s)


def test_an_attempt_that_was_lost_has_no_stages_and_still_a_bar() -> None:
    lost = timeline()
    lost["attempts"][0]["stages"] = None

    drawn = {bar.stage: bar.length_s for bar in bars(lost)}

    assert drawn["queue"] == pytest.approx(0.5)
    assert drawn["record"] == pytest.approx(1.5)


@given(
    some.floats(0, 1, allow_nan=False),
    some.floats(0, 1, allow_nan=False),
    some.integers(8, 120),
)
def test_a_bar_is_seen_and_stays_within_its_width(start: float, length: float, width: int) -> None:
    bar = blocks(start, min(length, 1 - start), width)

    assert bar.strip()
    assert len(bar) <= width


def test_a_chart_reads_the_same_without_colours() -> None:
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(chart(timeline(), width=40))
    lines = console.export_text().splitlines()

    assert [line.split()[0] for line in lines] == [
        "queue",
        "claim",
        "load",
        "run",
        "store",
        "record",
    ]
    assert lines[3].count("█") == 20, "half of two seconds, half of forty cells"
    assert "1.00 s" in lines[3]
