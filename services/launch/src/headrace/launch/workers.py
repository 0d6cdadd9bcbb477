"""The commands about workers: who is there, how each is, and draining one."""

from __future__ import annotations

from typing import Any, Final, Literal
from urllib.parse import quote

from rich.console import Console
from rich.table import Table
from rich.text import Text

from headrace.launch.errors import Misused
from headrace.launch.printing import a_table, print_facts, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating
from headrace.launch.words import harmless, moment, seconds, size, when

_AT: Final = "/admin/workers"
_STYLES: Final = {"alive": "green", "draining": "yellow", "silent": "red"}


async def show_workers(settings: ClientSettings, console: Console, *, as_json: bool) -> None:
    workers = await _workers(settings)
    if as_json:
        print_json(console, workers)
        return
    heads = ("worker", "state", "busy", "memory", "warm", "receives", "why")
    table = a_table(*heads, elastic="why")
    for each in workers:
        memory = each["memory_bytes"]
        table.add_row(
            harmless(each["id"]),
            Text(each["state"], style=_STYLES[each["state"]]),
            f"{len(each['running'])}/{sum(each['slots'].values())}",
            "" if memory is None else size(memory),
            "?" if each["models"] is None else str(len(each["models"])),
            _receives(each),
            Text(harmless(each["why"])),
        )
    console.print(table if workers else "No worker was ever heard of.")


async def show_worker(
    settings: ClientSettings, console: Console, worker: str, *, as_json: bool
) -> None:
    """Raises Misused."""
    workers = {each["id"]: each for each in await _workers(settings)}
    if worker not in workers:
        raise Misused(f"No worker {worker!r}. Known: {', '.join(workers) or 'none'}.")
    if as_json:
        print_json(console, workers[worker])
    else:
        _print(console, workers[worker])


async def turn(
    settings: ClientSettings,
    console: Console,
    worker: str,
    verb: Literal["drain", "resume"],
    *,
    as_json: bool,
) -> None:
    async with operating(settings) as client:
        told = await client.ask("POST", f"{_AT}/{quote(worker, safe='')}/{verb}")
    if as_json:
        print_json(console, told)
    else:
        console.print(Text(harmless(f"{told['id']} is {told['state']}. {told['why']}")))


async def _workers(settings: ClientSettings) -> list[dict[str, Any]]:
    async with operating(settings) as client:
        found: list[dict[str, Any]] = (await client.ask("GET", _AT))["workers"]
    return found


def _receives(worker: dict[str, Any]) -> str:
    return {True: "yes", False: "no", None: "?"}[worker["receives"]]


def _print(console: Console, worker: dict[str, Any]) -> None:
    console.print(Text(f"worker {worker['id']} · {worker['state']}"))
    slots = ", ".join(f"{lane} {number}" for lane, number in sorted(worker["slots"].items()))
    memory = worker["memory_bytes"]
    facts = {
        "receives": f"{_receives(worker)}: {worker['why']}",
        "path": worker["path"],
        "heard": when(worker["seen_at"]),
        "slots": slots or "none ready",
        "memory": memory and size(memory),
        "draining": worker["drain_asked_at"] and f"since {moment(worker['drain_asked_at'])}",
    }
    gpus = {f"gpu {place}": _gpu(gpu) for place, gpu in enumerate(worker["gpus"] or ())}
    print_facts(console, facts | gpus)
    if worker["models"]:
        console.print(_warm(worker["models"]))
    if not worker["running"]:
        return
    table = a_table("runs", "kind", "lane", "attempt", "began", "progress", elastic="progress")
    for each in worker["running"]:
        progress = each["progress"]
        table.add_row(
            each["job"],
            each["kind"],
            each["lane"],
            str(each["attempt"]),
            when(each["started_at"]),
            Text("" if progress is None else f"{progress:.0%}"),
        )
    console.print(table)


def _warm(models: list[dict[str, Any]]) -> Table:
    table = a_table("loaded", "lane", "slots", "memory", "load took", elastic="loaded")
    for each in models:
        table.add_row(
            Text(harmless(each["model"])),
            each["lane"],
            str(each["slots"]),
            size(each["memory_bytes"]),
            seconds(each["load_s"]),
        )
    return table


def _gpu(gpu: dict[str, Any]) -> str:
    memory = f"{size(gpu['memory_used_bytes'])} of {size(gpu['memory_total_bytes'])}"
    return f"{gpu['name']}, {gpu['utilisation']:.0%} busy, {memory}"
