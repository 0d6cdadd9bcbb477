"""Whatever is dropped, doubled, mixed up or late: every job ends, once, and none is forgotten.

Hypothesis plays clients, dispatchers and workers on a real store, a bus that it treats badly and
streams that forget, and looks at every job after every step.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from headrace.testkit.machine.jobs import play
from headrace.testkit.machine.stage import OpenStage, in_this_process


@pytest.fixture
def open_stage(database: Path, tmp_path: Path) -> OpenStage:
    numbers = count(1)
    return lambda: in_this_process(database, tmp_path / f"{next(numbers)}.sqlite3")


@pytest.mark.timeout(240)  # a quarter of a minute of one core, which others may want too
def test_nothing_is_orphaned_and_nothing_ends_twice(
    open_stage: OpenStage, figures: list[str]
) -> None:
    figures.append(f"jobs, in one process: {play(open_stage, examples=25, steps=50)}")


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_nothing_is_orphaned_and_nothing_ends_twice_in_many_long_days(
    open_stage: OpenStage, figures: list[str]
) -> None:
    figures.append(f"jobs, in one process: {play(open_stage, examples=500, steps=100)}")
