"""A job's timeline drawn to scale: a row a stage, each bar where it was and as long as it took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from headrace.launch.words import seconds

COLOURS: Final = {
    "queue": "yellow",
    "claim": "magenta",
    "load": "blue",
    "run": "green",
    "store": "cyan",
    "record": "magenta",
    "running": "green",
    "lost": "red",
}
MEANS: Final = {
    "queue": "waited for a slot",
    "claim": "worker asked, dispatcher granted",
    "load": "model made ready",
    "run": "engine worked",
    "store": "pictures kept",
    "record": "result sent and committed",
    "running": "runs now",
    "lost": "its worker fell silent",
}
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Bar:
    """One stage, in seconds from the job's submission."""

    stage: str
    start_s: float
    length_s: float
    attempt: int
    cold: bool = False  # the model had to be loaded

    @property
    def means(self) -> str:
        return "model loaded: the slot was cold" if self.cold else MEANS[self.stage]


def bars(timeline: Mapping[str, Any], *, now: datetime | None = None) -> list[Bar]:
    """In order, without gaps within an attempt: they add up to the time the job took.

    With `now`, also what is not over: it runs, or waits for its next attempt.
    """
    submitted = _time(timeline["created_at"])
    attempts = timeline["attempts"]
    drawn = [bar for attempt in attempts for bar in _attempt_bars(attempt, submitted, now)]
    waits = timeline.get("state") in {"queued", "scheduled"}
    return [*drawn, _wait(attempts, submitted, now)] if waits and now is not None else drawn


def _wait(attempts: Sequence[Mapping[str, Any]], submitted: datetime, now: datetime) -> Bar:
    since = _time(attempts[-1]["ended_at"]) if attempts else submitted
    start_s = (since - submitted).total_seconds()
    length_s = (now - since).total_seconds()  # another clock's, which may be behind
    return Bar("queue", start_s, max(0.0, length_s), len(attempts) + 1)


def _attempt_bars(
    attempt: Mapping[str, Any], submitted: datetime, now: datetime | None
) -> Iterator[Bar]:
    granted_s = (_time(attempt["started_at"]) - submitted).total_seconds()
    stages = attempt["stages"] or {}
    # The claim ends when the grant arrives, a moment after the dispatcher has written it down.
    waited_s = attempt["waited_s"] or 0.0
    claim_s = min(stages.get("claim_s", 0.0), waited_s)
    lengths = {
        "queue": waited_s - claim_s,
        "claim": claim_s,
        **{name: stages.get(f"{name}_s", 0.0) for name in ("load", "run", "store")},
    }
    at_s = granted_s - waited_s
    for stage, length_s in lengths.items():
        if length_s > 0 or attempt["ended_at"] is not None:  # what it is at now is not known yet
            cold = stage == "load" and stages.get("cold", False)
            yield Bar(stage, at_s, length_s, attempt["attempt"], cold)
        at_s += length_s
    if attempt["ended_at"] is not None:
        end_s = (_time(attempt["ended_at"]) - submitted).total_seconds()
        last = "lost" if attempt.get("outcome") == "lost" else "record"
        yield Bar(last, at_s, max(0.0, end_s - at_s), attempt["attempt"])
    elif now is not None:
        now_s = (now - submitted).total_seconds()
        yield Bar("running", at_s, max(0.0, now_s - at_s), attempt["attempt"])


def chart(timeline: Mapping[str, Any], *, width: int) -> Table:
    """`width` is that of the bars alone."""
    drawn = bars(timeline)
    whole_s = max((bar.start_s + bar.length_s for bar in drawn), default=0.0) or 1.0
    several = len(timeline["attempts"]) > 1
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=8)
    table.add_column(no_wrap=True, min_width=width)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    for bar in drawn:
        name = f"{bar.attempt} {bar.stage}" if several else bar.stage
        block = blocks(bar.start_s / whole_s, bar.length_s / whole_s, width)
        table.add_row(
            f"  {name}",
            Text(block, style=COLOURS[bar.stage]),
            seconds(bar.length_s),
            bar.means,
        )
    return table


def blocks(start: float, length: float, width: int) -> str:
    """A bar from `start`, of `length`, both parts of one; what took no time still leaves a mark."""
    cells, eighths = divmod(round(length * width * 8), 8)
    bar = "█" * cells + _EIGHTHS[eighths].strip()
    before = min(int(start * width), width - 1)
    return " " * before + ((bar or "▏")[: width - before])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
