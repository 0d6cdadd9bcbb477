"""How much a gateway can deliver: rates that rise by half until it is late. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tests.bench.streams.load import Round

RISE: Final = 1.5
LATE_MS: Final = 1_000.0  # the 99th percentile; who reads text notices no less
PUBLISHER_LATE_MS: Final = 500.0


def rates(first: float, most: float) -> Iterator[float]:
    """Tokens a second in all."""
    rate = first
    while rate <= most:
        yield rate
        rate *= RISE


def in_time(told: Round) -> bool:
    """Everything, in order, and as fast as it was asked for."""
    late = told.late_ms[1] > LATE_MS or told.publisher_late_ms > PUBLISHER_LATE_MS
    return told.whole and not late


def highest(rounds: Sequence[Round]) -> Round | None:
    """The fastest of those in time."""
    return max(filter(in_time, rounds), key=lambda told: told.tokens_per_s, default=None)
