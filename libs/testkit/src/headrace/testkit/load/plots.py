"""Lines over time as inline SVG: no script, nothing from elsewhere, readable on paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from headrace.testkit.load.figures import Evidence, quantile, told
from headrace.testkit.load.rows import Happened

WIDTH: Final = 900
HEIGHT: Final = 220
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 26, 26
COLOURS: Final = ("a", "b", "c", "d")  # classes of the page's style
BUCKETS: Final = 90


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    points: Sequence[tuple[float, float]]  # seconds since the load began, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    title: str
    unit: str
    lines: Sequence[Line]


def plots_of(evidence: Evidence) -> list[Plot]:
    """What went in and came out, how long it took, what failed, and whether the client kept up."""
    timeline = Timeline(evidence.began, evidence.over)
    accepted = [each.at for each in evidence.accepted.values()]
    ended = [each.at for each in evidence.ended.values()]
    failed = [e.at for some in evidence.measured.values() for e in some if e.error]
    plots = [
        Plot(
            title="Jobs a second",
            unit="1/s",
            lines=[
                Line("accepted", timeline.rate(accepted)),
                Line("seen to their end", timeline.rate(ended)),
            ],
        ),
        _latencies(evidence, timeline, 95),
        _latencies(evidence, timeline, 50),
        Plot(title="Failures a second", unit="1/s", lines=[Line("failed", timeline.rate(failed))]),
    ]
    return [*plots, *_itself(evidence, timeline)]


def _latencies(evidence: Evidence, timeline: Timeline, percent: int) -> Plot:
    names = ("submit", "queue wait", "first token", "chunk late", "total")
    lines = [
        Line(name, timeline.quantiles([(e.at, e.ms) for e in some if not e.error], percent))
        for name in names
        if (some := evidence.measured.get(name))
    ]
    return Plot(title=f"How long it took, p{percent}", unit="ms", lines=lines)


def _itself(evidence: Evidence, timeline: Timeline) -> Iterator[Plot]:
    """The client's own process, and the machine under both."""
    for unit, names in {
        "ms": ["client: wakes up late, ms"],
        "%": ["client: CPU, %", "machine: CPU, %"],
        "": ["machine: runnable a core"],
    }.items():
        lines = [
            Line(
                name.removesuffix(f", {unit}"),
                timeline.quantiles([(e.at, e.value) for e in some], 95),
            )
            for name in names
            if (some := evidence.gauges.get(name))
        ]
        if lines:
            title = (
                "How late the client wakes up"
                if unit == "ms"
                else " · ".join(e.name for e in lines)
            )
            yield Plot(title=title, unit=unit, lines=lines)


@dataclass(frozen=True, slots=True)
class Timeline:
    began: float
    over: float

    @property
    def step(self) -> float:
        """Of whole seconds, so that a rate is one."""
        return max(1.0, math.ceil((self.over - self.began) / BUCKETS))

    def rate(self, times: Sequence[float]) -> list[tuple[float, float]]:
        counts = [0] * (int((self.over - self.began) / self.step) + 1)
        for at in times:
            if self.began <= at <= self.over:
                counts[int((at - self.began) / self.step)] += 1
        return [(self._middle(n), count / self.step) for n, count in enumerate(counts)]

    def quantiles(
        self, values: Sequence[tuple[float, float]], percent: int
    ) -> list[tuple[float, float]]:
        """Of each stretch in which there was one."""
        stretches: dict[int, list[float]] = {}
        for at, value in values:
            if self.began <= at <= self.over:
                stretches.setdefault(int((at - self.began) / self.step), []).append(value)
        return [(self._middle(n), quantile(some, percent)) for n, some in sorted(stretches.items())]

    def _middle(self, nth: int) -> float:
        return (nth + 0.5) * self.step


def svg(plot: Plot, *, seconds: float, began: float, happened: Sequence[Happened]) -> str:
    top = _nice(max([0.0, *(value for line in plot.lines for _, value in line.points)]))
    across = _scale(max(seconds, 1.0), LEFT, WIDTH - RIGHT)
    down = _scale(top, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(plot.title)}">',
        *_grid(top, seconds, across, down),
        *_marks(happened, began, across),
        *(
            _polyline(line, colour, across, down)
            for line, colour in zip(plot.lines, _colours(), strict=False)
        ),
        "</svg>",
    ]
    return "".join(parts)


def _colours() -> Iterator[str]:
    while True:
        yield from COLOURS


def legend(plot: Plot) -> str:
    return "".join(
        f'<span class="key {colour}">{escape(line.name)}</span>'
        for line, colour in zip(plot.lines, _colours(), strict=False)
    )


def _scale(most: float, first: float, last: float) -> Callable[[float], float]:
    return lambda value: first + (last - first) * value / most


def _nice(most: float) -> float:
    """The next round number above it."""
    if most <= 0:
        return 1.0
    ten = 10.0 ** math.floor(math.log10(most))
    return next(step * ten for step in (1, 2, 2.5, 5, 10) if step * ten >= most)


def _grid(
    top: float, seconds: float, across: Callable[[float], float], down: Callable[[float], float]
) -> Iterator[str]:
    for part in range(5):
        value = top * part / 4
        y = down(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{told(value)}</text>'
    every = _nice(seconds / 8)
    for nth in range(int(seconds / every) + 1):
        x = across(nth * every)
        yield f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{nth * every:g} s</text>'


def _marks(
    happened: Sequence[Happened], began: float, across: Callable[[float], float]
) -> Iterator[str]:
    for number, each in enumerate(happened, 1):
        x = across(max(0.0, each.at - began))
        yield f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{HEIGHT - BOTTOM}"/>'
        yield f'<text class="mark" x="{x:.1f}" y="{TOP - 12}" text-anchor="middle">{number}</text>'
        yield f"<title>{escape(each.what)}</title>"


def _polyline(
    line: Line, colour: str, across: Callable[[float], float], down: Callable[[float], float]
) -> str:
    points = " ".join(f"{across(at):.1f},{down(value):.1f}" for at, value in line.points)
    return f'<polyline class="line {colour}" points="{points}"/>'
