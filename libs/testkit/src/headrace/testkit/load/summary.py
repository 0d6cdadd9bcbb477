"""The same figures for the terminal, the page and the tables."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headrace.testkit.load.figures import Evidence, quantile


@dataclass(frozen=True, slots=True)
class Measure:
    """`values`: p50, p95, p99 and the most, or nothing where nothing came to its end."""

    name: str
    times: int
    failed: int
    values: Sequence[float]


def measures(evidence: Evidence) -> Iterator[Measure]:
    for name, some in sorted(evidence.measured.items()):
        took = evidence.took(name)
        values = [*(quantile(took, part) for part in (50, 95, 99)), max(took)] if any(took) else []
        yield Measure(name, len(some), sum(bool(each.error) for each in some), values)


def machine() -> str:
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}"
    )
