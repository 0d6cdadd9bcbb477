"""The commands about lanes and waiting: lanes, pause, resume, explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal
from urllib.parse import quote

from rich.console import Console
from rich.table import Table
from rich.text import Text

from headrace.launch.client import Client
from headrace.launch.errors import Misused
from headrace.launch.printing import a_table, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating, talking
from headrace.launch.words import count, harmless, seconds_roughly, when

COUNTED: Final = 100_000  # as the api counts
_SAID: Final = {
    "pause": "Lane {lane} is paused: what runs goes on, nothing else starts.",
    "resume": "Lane {lane} goes on.",
}


async def show_lanes(settings: ClientSettings, console: Console, *, as_json: bool) -> None:
    async with operating(settings) as client:
        lanes = await _lanes(client)
    if as_json:
        print_json(console, lanes)
        return
    console.print(
        lanes_table(lanes) if lanes else "No lane is known yet; engines may still be loading."
    )


def lanes_table(lanes: Sequence[dict[str, Any]]) -> Table:
    table = a_table(
        *("lane", "waiting", "oldest", "offered", "running", "slots", "workers", "state"),
        elastic="state",
    )
    for each in lanes:
        oldest = each["oldest_age_s"]
        table.add_row(
            each["lane"],
            _waiting(each["waiting"]),
            "" if oldest is None else seconds_roughly(oldest),
            *(str(each[name]) for name in ("offered", "running", "slots", "workers")),
            _state(each),
        )
    return table


def _waiting(number: int) -> str:
    """So many are counted, of each path."""
    return f"{number:,}{'+' if number >= COUNTED else ''}"


async def turn(
    settings: ClientSettings,
    lane: str,
    verb: Literal["pause", "resume"],
    console: Console,
    *,
    as_json: bool,
) -> None:
    """Raises Misused for a lane that nobody knows: pausing a slip of the pen would pause nothing."""
    async with operating(settings) as client:
        known = [each["lane"] for each in await _lanes(client)]
        if lane not in known:
            raise Misused(f"No lane {lane!r}. Known: {', '.join(known) or 'none yet'}.")
        found = await client.ask("POST", f"/admin/lanes/{quote(lane, safe='')}/{verb}")
    if as_json:
        print_json(console, found)
    else:
        console.print(Text(_SAID[verb].format(lane=lane)))


async def explain(settings: ClientSettings, job: str, console: Console, *, as_json: bool) -> None:
    async with talking(settings) as client:
        said = await client.job(job, "/explain")
    print_explanation(console, said, as_json=as_json)


def print_explanation(console: Console, said: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(console, said)
        return
    for line in _lines(said):
        console.print(Text(line))


async def _lanes(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.ask("GET", "/admin/lanes"))["lanes"]
    return found


def _state(lane: dict[str, Any]) -> str:
    if lane["trouble"] is not None:
        return f"unusable: {harmless(lane['trouble'])}"
    if lane["paused_since"] is not None:
        return f"paused {when(lane['paused_since'])}: headrace resume {lane['lane']}"
    return "open" if lane["slots"] else "no worker serves it"


def _lines(said: dict[str, Any]) -> list[str]:
    lines = [f"{said['state']} · {said['rule']}", harmless(said["why"])]
    if ahead := said["queue_position"]:
        verb = "is" if ahead == 1 else "are"
        lines.append(f"{count(ahead, 'job')} {verb} before it in lane {harmless(said['lane'])}.")
    return lines + [f"would help: {harmless(wish)}" for wish in said["relax"]]
