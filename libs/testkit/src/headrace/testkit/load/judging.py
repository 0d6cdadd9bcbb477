"""Whether a run held what its campaign asks: figures against thresholds, and whether it was a run at all.

A run that sent nothing shows nothing, and one whose own process was the slow one measured itself: both
fail with those words, whatever their figures are.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from headrace.testkit.load.figures import CPU, LATE, Evidence, figures, told

EVERY: Final = "every"
SHOWN_ERRORS: Final = 5
_OWN: Final = {
    f"{LATE} p95": "its loop woke up {found:.0f} ms late",
    f"{CPU} p95": "it used {found:.0f} % of a core",
}


@dataclass(frozen=True, slots=True)
class Limits:
    at_most: Mapping[str, float] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """One threshold. `found` is None where nothing was measured."""

    name: str
    word: str  # "at most" or "at least"
    limit: float
    found: float | None

    @property
    def held(self) -> bool:
        if self.found is None:
            return False
        return self.found <= self.limit if self.word == "at most" else self.found >= self.limit


@dataclass(frozen=True, slots=True)
class Verdict:
    reasons: Sequence[str]  # why it failed; none if it passed
    checks: Sequence[Check]
    figures: Mapping[str, float]
    errors: Sequence[tuple[str, int]]  # the most frequent ones

    @property
    def passed(self) -> bool:
        return not self.reasons

    @property
    def line(self) -> str:
        return "PASSED" if self.passed else f"FAILED: {'; '.join(self.reasons)}"


def read_limits(file: Path, campaign: str) -> Limits:
    """What holds for every campaign, and what this one says otherwise or beside it."""
    tables: dict[str, Any] = tomllib.loads(file.read_text())
    every, own = tables.get(EVERY, {}), tables[campaign]
    return Limits(
        **{side: {**every.get(side, {}), **own.get(side, {})} for side in ("at_most", "at_least")}
    )


def judge(evidence: Evidence, limits: Limits) -> Verdict:
    found = figures(evidence)
    checks = [
        *(Check(name, "at most", limit, found.get(name)) for name, limit in limits.at_most.items()),
        *(
            Check(name, "at least", limit, found.get(name))
            for name, limit in limits.at_least.items()
        ),
    ]
    errors = Counter(
        f"{each.name}: {each.error}"
        for some in evidence.measured.values()
        for each in some
        if each.error
    ).most_common(SHOWN_ERRORS)
    return Verdict(list(_reasons(evidence, checks, errors)), checks, found, errors)


def _reasons(
    evidence: Evidence, checks: Sequence[Check], errors: Sequence[tuple[str, int]]
) -> Iterator[str]:
    if not any(evidence.measured.values()):
        yield "it sent nothing"
        return
    if not evidence.accepted:
        yield "nothing was accepted"
    for check in checks:
        if not check.held and check.name in _OWN and check.found is not None:
            yield f"it measured itself instead of the service: {_OWN[check.name].format(found=check.found)}"
    for check in checks:
        if not check.held and (check.name not in _OWN or check.found is None):
            yield _sentence(check)
    if errors and any(not check.held and check.name in {"errors", "wrong"} for check in checks):
        what, count = errors[0]
        yield f"most often ({count} times) {what}"


def _sentence(check: Check) -> str:
    if check.found is None:
        return f"{check.name} was not measured"
    return f"{check.name} is {told(check.found)}, and may be {check.word} {check.limit:,g}"
