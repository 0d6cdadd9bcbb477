"""What the demo measured, as charts and one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headrace.launch.chart import blocks, chart
from headrace.launch.words import seconds

MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Loaded:
    lane: str
    at_s: float
    load_s: float


@dataclass(slots=True)
class Ran:
    """One job; times count from the start of the server's process, on this process's clock."""

    kind: str
    submitted_s: float
    first_s: float | None = None  # the first token or preview was seen
    timeline: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Told:
    listening_s: float = 0.0
    loaded: dict[str, Loaded] = field(default_factory=dict)
    ran: list[Ran] = field(default_factory=list)
    memory: Mapping[str, int] = field(default_factory=dict)


def report(told: Told, *, width: int) -> RenderableType:
    charts: list[RenderableType] = []
    for ran in told.ran:
        total_s = ran.timeline["total_s"]
        charts.append(_heading(f"{ran.kind}: from submitted to done, {seconds(total_s)}"))
        charts.append(chart(ran.timeline, width=width))
    return Group(
        *charts,
        _heading("from process start to first token"),
        _start(told, width),
        _heading("speed and memory"),
        _figures(told),
        Text(),
    )


def _start(told: Told, width: int) -> Table:
    parts = list(_parts(told))
    whole_s = sum(took_s for _, took_s in parts)
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=8)
    table.add_column(no_wrap=True, min_width=width)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    at_s = 0.0
    for (name, means), took_s in parts:
        bar = Text(blocks(at_s / whole_s, took_s / whole_s, width), style="green")
        table.add_row(f"  {name}", bar, seconds(took_s), means)
        at_s += took_s
    table.add_row("  all", "", Text(seconds(whole_s), style="bold"), "process start to first token")
    return table


def _parts(told: Told) -> Iterator[tuple[tuple[str, str], float]]:
    first = told.ran[0]
    loaded = told.loaded[first.kind]
    yield ("start", "Python, settings, database, until it listens"), told.listening_s
    yield (
        ("load", f"engine process and model (model alone {seconds(loaded.load_s)})"),
        loaded.at_s - told.listening_s,
    )
    if first.first_s is not None:
        yield ("token", "submitted, claimed, prompt read, streamed"), first.first_s - loaded.at_s


def _figures(told: Told) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=8)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    for ran in told.ran:
        for name, value in ran.metrics.items():
            table.add_row(f"  {ran.kind}", f"{value:.1f}", name.replace("_per_s", "/s"))
    for name, size in told.memory.items():
        table.add_row(f"  {name}", f"{size / MEGA:.0f} MB", "resident")
    if told.memory:
        table.add_row(
            "  all", f"{sum(told.memory.values()) / MEGA:.0f} MB", "shared pages counted once"
        )
    return table


def _heading(text: str) -> Text:
    return Text(f"\n  {text}", style="bold")


def memory_of(pid: int, hosts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Bytes of the server and of each engine's process; shared pages are split among their users."""
    import psutil

    lanes = {each["pid"]: str(each["lane"]) for each in hosts}
    server = psutil.Process(pid)
    found: dict[str, int] = {}
    for process in (server, *server.children(recursive=True)):
        try:
            info = process.memory_full_info()
        except psutil.Error:  # it has left meanwhile
            continue
        name = "server" if process.pid == pid else lanes.get(process.pid, "other")
        found[name] = found.get(name, 0) + int(getattr(info, "pss", info.rss))
    return found
