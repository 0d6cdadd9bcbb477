"""From readings to verdicts: what each line may do, and what it did."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from headrace.testkit.soak.slopes import Points, Slope, slope_of

Word: TypeAlias = Literal[
    "flat", "falls", "grows", "undecided", "too short", "within", "over", "seen"
]
BAD: Final[frozenset[Word]] = frozenset({"grows", "over"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that is watched. Without a bound it is only told.

    It `grows` where the whole 95 % interval of its slope lies above the bound, is `flat` where the
    whole interval lies below it, and `undecided` where the bound lies inside: the run was too short
    or too noisy to tell. `at_most` is held by every reading, from the first on. What `settles` fills
    caches to their bounds and the allocator's arenas first: its slope is of the run's second half.
    """

    name: str
    unit: str = ""
    percent_an_hour: float | None = None  # of its own median
    an_hour: float | None = None
    at_most: float | None = None
    settles: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    line: Line
    first: float
    last: float
    most: float
    slope: Slope | None
    word: Word

    @property
    def bad(self) -> bool:
        return self.word in BAD


def verdict_of(line: Line, points: Points, *, warm_from_s: float) -> Verdict:
    """Slopes are taken from `warm_from_s` on."""
    warm = [point for point in points if point[0] >= warm_from_s]
    values = [value for _, value in points] or [0.0]
    slope = slope_of(warm)
    tenth = max(1, len(warm) // 10)
    return Verdict(
        line,
        first=_median(warm[:tenth]),
        last=_median(warm[-tenth:]),
        most=max(values),
        slope=slope,
        word=_word(line, slope, _median(warm), max(values)),
    )


def _median(points: Points) -> float:
    return statistics.median([value for _, value in points] or [0.0])


def _word(line: Line, slope: Slope | None, median: float, most: float) -> Word:
    if line.at_most is not None and most > line.at_most:
        return "over"
    bound = _bound(line, median)
    if bound is None:
        return "seen" if line.at_most is None else "within"
    if slope is None:
        return "too short"
    if slope.least > bound:
        return "grows"
    if slope.most > bound:
        return "undecided"
    return "falls" if slope.most < -bound else "flat"


def _bound(line: Line, median: float) -> float | None:
    if line.percent_an_hour is not None:
        return line.percent_an_hour / 100 * median
    return line.an_hour


PROCESSES: Final = ("api", "dispatcher", "gpu-worker")
TABLES: Final = ("jobs", "attempts", "idempotency_keys", "workers", "dead_letters")
# A dispatcher and a worker have half of 7,200 jobs an hour: a leak of 0.7 kB a job is at this bound.
MEMORY_MB_AN_HOUR: Final = 2.5
CONNECTIONS: Final = 2 * (10 + 1) + 10  # two dispatchers' pools and listeners, the api's pool

LINES: Final[Sequence[Line]] = (
    Line(name="machine: runnable a core"),  # over 1, what is slow may be somebody else's doing
    *(
        Line(name=f"{name}: memory", unit="MB", an_hour=MEMORY_MB_AN_HOUR, settles=True)
        for name in PROCESSES
    ),
    *(Line(name=f"{name}: CPU used", unit="s") for name in PROCESSES),
    *(Line(name=f"{name}: files", an_hour=2.0) for name in PROCESSES),
    *(Line(name=f"{name}: threads", an_hour=2.0) for name in PROCESSES),
    *(Line(name=f"{name}: tasks", an_hour=2.0) for name in PROCESSES),
    Line(name="gpu-worker: children", an_hour=2.0),
    Line(name="gpu-worker: children's memory", unit="MB"),
    Line(name="PostgreSQL: connections", at_most=CONNECTIONS, an_hour=2.0),
    *(Line(name=f"PostgreSQL: rows of {name}", percent_an_hour=10.0) for name in TABLES),
    Line(name="PostgreSQL: dead rows", at_most=10_000),
    Line(name="PostgreSQL: size", unit="MB"),
    Line(name="outbox: rows"),
    Line(name="outbox: oldest not offered", unit="s"),
    Line(name="RabbitMQ: queues", an_hour=2.0),
    Line(name="RabbitMQ: connections", an_hour=2.0),
    Line(name="RabbitMQ: channels", an_hour=2.0),
    Line(name="RabbitMQ: ready"),
    Line(name="RabbitMQ: unacknowledged"),
    Line(name="RabbitMQ: memory", unit="MB"),
    Line(name="RabbitMQ: files on disk", unit="MB"),
    Line(name="Redis: keys", percent_an_hour=10.0),
    Line(name="Redis: memory", unit="MB"),
)


def verdicts(
    series: Mapping[str, Points], *, warm_from_s: float, settled_from_s: float
) -> list[Verdict]:
    return [
        verdict_of(
            line,
            series.get(line.name, ()),
            warm_from_s=max(warm_from_s, settled_from_s) if line.settles else warm_from_s,
        )
        for line in LINES
    ]
