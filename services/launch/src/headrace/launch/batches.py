"""The commands about batches: many items in one go."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from headrace.launch.client import once
from headrace.launch.errors import Misused
from headrace.launch.printing import a_table, one_line, print_facts, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import talking
from headrace.launch.words import STYLES, seconds, when

_JSON_LINES: Final = "application/jsonl"


async def submit(  # what is handed in, and what is asked of all of it
    settings: ClientSettings,
    console: Console,
    file: str,
    terms: Mapping[str, Any],
    *,
    key: str | None,
    as_json: bool,
) -> None:
    """`terms` is the query, in the api's words. Prints the new batch's id."""
    lines = await asyncio.to_thread(_read, file)
    headers = {"Content-Type": _JSON_LINES, **once(key)}
    async with talking(settings) as client:
        made = await client.ask("POST", "/batches", params=terms, content=lines, headers=headers)
    if as_json:
        print_json(console, made)
    else:
        console.print(made["id"], markup=False, soft_wrap=True)


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise Misused(f"Cannot read {file}: {error.strerror}.") from error


async def show_list(
    settings: ClientSettings, console: Console, *, limit: int, as_json: bool
) -> None:
    async with talking(settings) as client:
        page = await client.ask("GET", "/batches", params={"limit": limit})
    found = page["batches"]
    if as_json:
        print_json(console, found)
        return
    if not found:
        console.print("No batches. Try: headrace batch submit text items.jsonl")
        return
    table = a_table("batch", "kind", "state", "done", "wrong", "age", elastic="kind")
    for each in found:
        table.add_row(
            each["id"],
            one_line(each["kind"]),
            Text(each["state"], style=STYLES.get(each["state"], "")),
            f"{_ended(each)}/{each['total']}",
            str(_wrong(each) or ""),
            when(each["created_at"]),
        )
    console.print(table)
    if page["next"] is not None:
        console.print(Text(f"\nThere are more than {limit}.", style="dim"))


async def show(settings: ClientSettings, console: Console, batch: str, *, as_json: bool) -> None:
    async with talking(settings) as client:
        found = await client.ask("GET", f"/batches/{batch}")
    if as_json:
        print_json(console, found)
    else:
        _tell(console, found)


async def cancel(settings: ClientSettings, console: Console, batch: str, *, as_json: bool) -> None:
    async with talking(settings) as client:
        found = await client.ask("POST", f"/batches/{batch}/cancel")
    if as_json:
        print_json(console, found)
    else:
        _tell(console, found)


async def print_results(
    settings: ClientSettings,
    console: Console,
    batch: str,
    after: int,
    *,
    errors: bool,
    follow: bool,
) -> None:
    """As they come from the api, a line each; nothing else goes to standard output."""
    async with talking(settings) as client:
        lines = client.results(batch, after, errors=errors, follow=follow, on_gap=_say_gap)
        async for line in lines:
            console.file.write(f"{line}\n")
            if follow:
                console.file.flush()


def _say_gap(why: str) -> None:
    sys.stderr.write(f"connection lost ({why}); going on where it was\n")


def _tell(console: Console, batch: Mapping[str, Any]) -> None:
    console.print(Text(f"batch {batch['id']}"))
    left = batch["seconds_left"]
    counts = {name: str(number) for name, number in batch["counts"].items() if number}
    print_facts(
        console,
        {
            "kind": f"{batch['kind']} · {batch['model'] or 'the usual model'}",
            "state": batch["state"],
            "done": f"{_ended(batch)} of {batch['total']} ({batch['progress']:.0%})",
            **counts,
            "left": None if left is None else f"about {seconds(left)}",
            "held up": batch["held_up"],
            "handed in": when(batch["created_at"]),
        },
    )
    if _wrong(batch):
        said = f"headrace batch results {batch['id']} --errors"
        console.print(Text(f"What went wrong: {said}", style="dim"), soft_wrap=True)


def _ended(batch: Mapping[str, Any]) -> int:
    counts = batch["counts"]
    return int(batch["total"]) - int(counts["waiting"]) - int(counts["running"])


def _wrong(batch: Mapping[str, Any]) -> int:
    return sum(int(batch["counts"][name]) for name in ("failed", "dead", "rejected"))
