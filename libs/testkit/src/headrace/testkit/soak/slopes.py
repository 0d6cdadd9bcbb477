"""Does it grow? A slope that a few odd samples cannot bend, and how sure one may be of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, TypeAlias

Points: TypeAlias = Sequence[tuple[float, float]]  # seconds, value

BINS: Final = 30
ENOUGH: Final = 8  # bins, and
ENOUGH_S: Final = 600.0  # seconds; of less no slope is told: what swings looks like growth
SURE: Final = 1.96  # standard deviations: 95 %
HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Slope:
    """Per hour, with the bounds of its 95 % interval."""

    per_hour: float
    least: float
    most: float


def binned(points: Points, bins: int = BINS) -> list[tuple[float, float]]:
    """Medians of equal stretches of time: neighbours in time are no independent samples."""
    if not points:
        return []
    first, last = points[0][0], points[-1][0]
    width = (last - first) / bins or 1.0
    stretches: dict[int, list[tuple[float, float]]] = {}
    for at, value in points:
        stretches.setdefault(min(bins - 1, int((at - first) / width)), []).append((at, value))
    return [
        (statistics.fmean(at for at, _ in each), statistics.median(value for _, value in each))
        for _, each in sorted(stretches.items())
    ]


def slope_of(points: Points) -> Slope | None:
    """By Theil and Sen: the median of the slopes of all pairs. None: too few points.

    The interval is Sen's (J. Amer. Statist. Assoc. 63, 1968), from the variance of Kendall's S.
    """
    rows = binned(points)
    count = len(rows)
    if count < ENOUGH or rows[-1][0] - rows[0][0] < ENOUGH_S:
        return None
    pairs = sorted(
        HOUR_S * (value - before) / (at - earlier)
        for (earlier, before), (at, value) in combinations(rows, 2)
    )
    spread = SURE * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, int((len(pairs) - spread) / 2) - 1)
    high = min(len(pairs) - 1, math.ceil((len(pairs) + spread) / 2))
    return Slope(statistics.median(pairs), pairs[low], pairs[high])
