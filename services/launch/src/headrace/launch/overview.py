"""`headrace overview`: how the installation does, on one screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from headrace.launch.lanes import lanes_table
from headrace.launch.printing import a_table, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating
from headrace.launch.words import count, per_second, seconds, seconds_roughly


async def show_overview(
    settings: ClientSettings, console: Console, *, window_s: int, as_json: bool
) -> None:
    async with operating(settings) as client:
        seen = await client.ask("GET", "/admin/overview", params={"window_s": window_s})
    if as_json:
        print_json(console, seen)
        return
    for line in _lines(seen):
        console.print(Text(line))
    console.print()
    console.print(lanes_table(seen["lanes"]) if seen["lanes"] else "No lane is known yet.")
    console.print()
    console.print(_paths_table(seen))


def _lines(seen: Mapping[str, Any]) -> list[str]:
    workers, letters = seen["workers"], seen["dead_letters_open"]
    ended = ", ".join(f"{number:,} {how}" for how, number in seen["ended"].items() if number)
    busy = f"{workers['busy']} of {count(workers['slots'], 'slot')} busy"
    pace = f"in {seconds_roughly(seen['covers_s'])}: {per_second(seen['per_s'])} jobs/s"
    lines = [
        f"{pace} ({ended or 'none ended'}){_failed(seen['failure_rate'])}",
        f"waiting {_took(seen['wait_s'])} · running {_took(seen['run_s'])}",
        f"{count(workers['alive'], 'worker')}, {busy}",
    ]
    if letters:
        lines.append(f"{count(letters, 'dead letter')} open: headrace dead-letters")
    return lines


def _failed(rate: float | None) -> str:
    return "" if rate is None else f", {rate:.1%} failed"


def _took(times: Mapping[str, float | None]) -> str:
    if times["p50"] is None or times["p95"] is None:
        return "nobody did"
    return f"{seconds(times['p50'])}, 95 % within {seconds(times['p95'])}"


def _paths_table(seen: Mapping[str, Any]) -> Table:
    table = a_table(
        "path", "waiting", "running", "ended", "failed", "waits", "state", elastic="state"
    )
    for each in seen["paths"]:
        waits = each["wait_p50_s"]
        table.add_row(
            each["path"],
            *(f"{each[name]:,}" for name in ("waiting", "running", "ended", "failed")),
            "" if waits is None else seconds(waits),
            "attended" if each["attended"] else "nobody of its own attends to it",
        )
    return table
