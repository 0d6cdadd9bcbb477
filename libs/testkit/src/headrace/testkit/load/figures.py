"""From rows to figures with names: what the thresholds are held against."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from headrace.testkit.load.rows import Accepted, Ended, Gauge, Happened, Measured, Row

LATE: Final = "client: wakes up late, ms"
CPU: Final = "client: CPU, %"
MACHINE: Final = "machine: runnable a core"
CHECKED: Final = "answer checked"  # one a job: was it the right end, with the right text?


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a run saw, by sort, and when its load began and ended."""

    measured: Mapping[str, Sequence[Measured]]
    gauges: Mapping[str, Sequence[Gauge]]
    happened: Sequence[Happened]
    accepted: Mapping[str, Accepted]
    ended: Mapping[str, Ended]
    began: float
    over: float
    facts: Mapping[str, float] = field(default_factory=dict)  # what rows alone do not tell

    def at(self, what: str) -> float | None:
        """When it happened first."""
        return next((each.at for each in self.happened if each.what == what), None)

    def took(self, name: str) -> list[float]:
        return [each.ms for each in self.measured.get(name, ()) if not each.error]


def evidence_of(rows: Sequence[Row], **facts: float) -> Evidence:
    """`rows` in the order of their times."""
    measured: dict[str, list[Measured]] = defaultdict(list)
    gauges: dict[str, list[Gauge]] = defaultdict(list)
    happened: list[Happened] = []
    accepted: dict[str, Accepted] = {}
    ended: dict[str, Ended] = {}
    for row in rows:
        match row:
            case Measured():
                measured[row.name].append(row)
            case Gauge():
                gauges[row.name].append(row)
            case Happened():
                happened.append(row)
            case Accepted():
                accepted[row.job] = row
            case Ended():
                ended[row.job] = row
    seen = [each.at for some in measured.values() for each in some] or [0.0]
    began = happened[0].at if happened else min(seen)
    return Evidence(
        measured, gauges, happened, accepted, ended, began, max(began, *seen), dict(facts)
    )


def figures(evidence: Evidence) -> dict[str, float]:
    """By the names that thresholds.toml uses."""
    all_of = [each for some in evidence.measured.values() for each in some]
    wrong = [each for each in evidence.measured.get(CHECKED, ()) if each.error]
    found: dict[str, float] = {
        "requests": len(all_of),
        "errors": sum(bool(each.error) for each in all_of),
        "jobs": len(evidence.accepted),
        "wrong": len(wrong),
    }
    for name in evidence.measured:
        if name != CHECKED and (took := evidence.took(name)):
            found |= {f"{name} {part} ms": value for part, value in _parts(took).items()}
    for name, readings in evidence.gauges.items():
        found[f"{name} p95"] = quantile([each.value for each in readings], 95)
    return found | dict(evidence.facts)


def _parts(took: Sequence[float]) -> dict[str, float]:
    return {
        "p50": quantile(took, 50),
        "p95": quantile(took, 95),
        "p99": quantile(took, 99),
        "most": max(took),
    }


def quantile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def told(value: float) -> str:
    """As much of a figure as a person reads."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
