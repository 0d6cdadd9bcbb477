"""A pytest plugin: writes which faults held, from the results of runs (FAULT_TABLE=FILE).

A test names its faults by its own name (`test_fault_28_...`) or by `@pytest.mark.fault(1, 2)`. What
it did is the first line of its docstring. The latest result of each test is kept in pytest's cache,
so the matrix may be run in pieces; `make chaos-full` begins with an empty one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypedDict

import pytest

from headrace.testkit.chaos.faults import FAULTS, NOT_RUN

_NAMED: Final = re.compile(r"test_fault_(\d+)_")
RECOVERED: Final = "recovered_s"  # a property of a test: seconds from a heal to the end of new work
_KEPT: Final = "headrace/faults"
_HEAD: Final = """\
# The faults, and whether the promises held

Written by `make chaos-full` from the results of its tests; do not edit. A fault *held* when no rule
of the checker was broken: nothing lost, nothing twice, no silent hole in a stream, everything quiet
in the end. *new* is how many seconds after the heal a job asked for then had ended; at most 30 are
promised, and the longest of the fault's heals is shown. *all* are those of the whole test, servers'
and services' starts included.

| | held | failed | not run |
| --- | --- | --- | --- |
"""


class Outcome(TypedDict):
    """Of one test."""

    faults: list[int]
    how: str
    passed: bool
    seconds: float
    recovered_s: list[float]


class FaultTable:
    def __init__(self, path: Path, cache: pytest.Cache) -> None:
        self._path, self._cache = path, cache
        self._tests: dict[str, tuple[list[int], str]] = {}
        self._outcomes: dict[str, Outcome] = cache.get(_KEPT, {})

    def pytest_collection_modifyitems(self, items: Iterable[pytest.Item]) -> None:
        for item in items:
            numbers = {number for mark in item.iter_markers("fault") for number in mark.args}
            if named := _NAMED.match(item.name):
                numbers.add(int(named[1]))
            if numbers:
                self._tests[item.nodeid] = sorted(numbers), _first_line(item)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped or report.nodeid not in self._tests:
            return
        faults, how = self._tests[report.nodeid]
        before = self._outcomes.get(report.nodeid)
        if before is None or report.when == "setup":
            before = Outcome(faults=faults, how=how, passed=True, seconds=0.0, recovered_s=[])
        before["passed"] = before["passed"] and report.passed
        before["seconds"] += report.duration
        before["recovered_s"] = [
            float(str(value)) for name, value in report.user_properties if name == RECOVERED
        ]
        self._outcomes[report.nodeid] = before
        if report.when == "teardown":
            self._cache.set(_KEPT, self._outcomes)
            self._path.write_text(self._text())

    def _text(self) -> str:
        verdicts = [self._verdict(number) for number in FAULTS]
        counts = " | ".join(str(verdicts.count(each)) for each in ("held", "**failed**", "not run"))
        head = "| F | fault | | how, or why not | new | all |\n| --- " + "| --- " * 5 + "|\n"
        rows = "".join(map(self._row, FAULTS))
        return f"{_HEAD}| of {len(FAULTS)} | {counts} |\n\n{head}{rows}"

    def _of(self, number: int) -> Iterator[Outcome]:
        return (each for each in self._outcomes.values() if number in each["faults"])

    def _verdict(self, number: int) -> str:
        passed = [outcome["passed"] for outcome in self._of(number)]
        if not passed:
            return "not run"
        return "held" if all(passed) else "**failed**"

    def _row(self, number: int) -> str:
        verdict = self._verdict(number)
        hows = dict.fromkeys(outcome["how"] for outcome in self._of(number) if outcome["how"])
        why = "; ".join(hows) if verdict != "not run" else NOT_RUN.get(number, "no test of it ran")
        seconds = sum(outcome["seconds"] for outcome in self._of(number))
        took = f"{seconds:.0f}" if seconds else ""
        recovered = max((s for each in self._of(number) for s in each["recovered_s"]), default=None)
        new = "" if recovered is None else f"{recovered:.1f}"
        return f"| {number} | {FAULTS[number]} | {verdict} | {why} | {new} | {took} |\n"


def _first_line(item: pytest.Item) -> str:
    function = getattr(item, "function", None)
    lines = (getattr(function, "__doc__", None) or "").strip().splitlines()
    return lines[0].rstrip(".") if lines else ""
