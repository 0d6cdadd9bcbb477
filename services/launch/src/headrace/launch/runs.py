"""The commands about runs of pipelines."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from headrace.launch.client import Client, once
from headrace.launch.errors import Exit
from headrace.launch.printing import a_table, one_line, print_facts, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import talking
from headrace.launch.words import count, when

LOOK_EVERY_S: Final = 0.5
_OVER: Final = {
    "succeeded": Exit.SUCCEEDED,
    "failed": Exit.FAILED,
    "cancelled": Exit.CANCELLED,
}


async def show_list(
    settings: ClientSettings, console: Console, *, limit: int, as_json: bool
) -> None:
    async with talking(settings) as client:
        page = await client.ask("GET", "/runs", params={"limit": limit})
    runs = page["runs"]
    if as_json:
        print_json(console, runs)
        return
    table = a_table("run", "pipeline", "state", "made", "error", elastic="error")
    for each in runs:
        made = each["created_at"] and when(each["created_at"])
        table.add_row(each["id"], each["pipeline"], each["state"], made, _error(each))
    console.print(table if runs else "No runs yet.")
    if page["next"] is not None:
        console.print(Text(f"\nThere are more than {count(limit, 'run')}.", style="dim"))


async def show(settings: ClientSettings, console: Console, run: str, *, as_json: bool) -> None:
    async with talking(settings) as client:
        _print(console, await client.ask("GET", f"/runs/{run}"), as_json=as_json)


async def watch(settings: ClientSettings, console: Console, run: str, *, as_json: bool) -> Exit:
    """A line whenever a stage moves."""
    async with talking(settings) as client:
        found, told = await client.ask("GET", f"/runs/{run}"), ""
        while True:
            if not as_json:
                told = _tell(console, found, told)
            if found["state"] in _OVER:
                break
            await asyncio.sleep(LOOK_EVERY_S)
            found = await client.ask("GET", f"/runs/{run}")
    if as_json:
        print_json(console, found)
    else:
        console.print(Text(f"Run {found['id']} {found['state']}."), _error(found), soft_wrap=True)
    return _OVER[found["state"]]


async def cancel(
    settings: ClientSettings, console: Console, run: str, *, key: str | None, as_json: bool
) -> None:
    await _turn(settings, console, f"/runs/{run}/cancel", key=key, as_json=as_json)


async def retry(
    settings: ClientSettings,
    console: Console,
    run: str,
    stage: str,
    *,
    key: str | None,
    as_json: bool,
) -> None:
    at = f"/runs/{run}/stages/{quote(stage, safe='')}/retry"
    await _turn(settings, console, at, key=key, as_json=as_json)


async def _turn(
    settings: ClientSettings, console: Console, at: str, *, key: str | None, as_json: bool
) -> None:
    async with talking(settings) as client:
        found = await _asked(client, at, key)
    if as_json:
        print_json(console, found)
    else:
        console.print(Text(f"Run {found['id']} is {found['state']}."), soft_wrap=True)


async def _asked(client: Client, at: str, key: str | None) -> dict[str, Any]:
    return await client.ask("POST", at, headers=once(key))


def _tell(console: Console, run: dict[str, Any], told: str) -> str:
    """What is told once is not told again."""
    stages = (f"{each['name']} {each['state']} {_percent(each)}" for each in run["stages"])
    line = f"{_percent(run)}  {' · '.join(stages)}"
    if line != told:
        console.print(Text(line), soft_wrap=True)
    return line


def _print(console: Console, run: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(console, run)
        return
    console.print(Text(f"run {run['id']}"))
    labels = ", ".join(f"{name}={value}" for name, value in run["labels"].items())
    facts = {
        "pipeline": run["pipeline"],
        "state": f"{run['state']} ({_percent(run)})",
        "made": run["created_at"] and when(run["created_at"]),
        "deadline": _deadline(run),
        "labels": labels,
    }
    print_facts(console, facts)
    table = a_table("stage", "kind", "state", "", "job", elastic="job")
    for stage in run["stages"]:
        jobs = ", ".join(piece["job"] for piece in stage["pieces"] if piece["job"])
        table.add_row(stage["name"], stage["kind"], stage["state"], _percent(stage), jobs)
    console.print(table)
    console.print(_error(run))


def _deadline(run: dict[str, Any]) -> str | None:
    if run["deadline_at"] is None:
        return None
    ahead = "" if run["state"] in _OVER else f"{when(run['deadline_at'])}, "
    return f"{ahead}{run['deadline_s']:g} s for all of it"


def _percent(part: dict[str, Any]) -> str:
    return f"{round(100 * part['progress'])} %"


def _error(run: dict[str, Any]) -> Text:
    error = run["error"]
    if error is None:
        return Text("")
    stage = error["stage"] and f"{error['stage']}: "  # none: it is about all of it
    return one_line(f"{stage or ''}{error['message']}", style="red")
