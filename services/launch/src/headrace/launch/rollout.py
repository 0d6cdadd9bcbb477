"""The commands about the rollout: look at both paths, take a step, wait until every api follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from rich.console import Console
from rich.text import Text

from headrace.launch.client import Client
from headrace.launch.errors import Misused
from headrace.launch.printing import a_table, print_facts, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating
from headrace.launch.words import harmless, moment

AT: Final = "/admin/rollout"
FOLLOWED_WITHIN_S: Final = 10.0
ASK_EVERY_S: Final = 0.1
Wish: TypeAlias = Callable[[Mapping[str, Any]], dict[str, Any]]
"""From the rollout as it is to what shall change."""


async def show(settings: ClientSettings, console: Console, *, as_json: bool) -> None:
    async with operating(settings) as client:
        found = await client.ask("GET", AT)
    if as_json:
        print_json(console, found)
        return
    _print_facts(console, found)
    _print_paths(console, found)
    _print_shadows(console, found["shadows"])


async def change(settings: ClientSettings, console: Console, wish: Wish, *, as_json: bool) -> None:
    """Against the version that was read: of two operators at once, one is told to look again."""
    async with operating(settings) as client:
        before = await client.ask("GET", AT)
        asked = {**wish(before), "expect_version": before["version"]}
        await _follow(client, console, await client.ask("PUT", AT, json=asked), as_json=as_json)


async def roll_back(settings: ClientSettings, console: Console, *, as_json: bool) -> None:
    async with operating(settings) as client:
        found = await client.ask("POST", f"{AT}/rollback")
        await _follow(client, console, found, as_json=as_json)


def with_internal(tenants: Sequence[str]) -> Wish:
    return lambda now: {"internal": list(dict.fromkeys([*now["internal"], *tenants]))}


def without_internal(tenants: Sequence[str]) -> Wish:
    def wish(now: Mapping[str, Any]) -> dict[str, Any]:
        if unknown := [each for each in tenants if each not in now["internal"]]:
            raise Misused(f"Not internal: {', '.join(unknown)}.")
        return {"internal": [each for each in now["internal"] if each not in tenants]}

    return wish


def with_kind(kind: str, path: str) -> Wish:
    def wish(now: Mapping[str, Any]) -> dict[str, Any]:
        others = {name: to for name, to in now["kinds"].items() if name != kind}
        return {"kinds": others if path == "-" else {**others, kind: path}}

    return wish


async def _follow(
    client: Client, console: Console, found: dict[str, Any], *, as_json: bool
) -> None:
    """Until every api process applies it, or for `FOLLOWED_WITHIN_S`."""
    loop = asyncio.get_running_loop()
    began, version = loop.time(), found["version"]
    while behind := [each for each in found["replicas"] if each["version"] < version]:
        if loop.time() - began > FOLLOWED_WITHIN_S:
            break
        await asyncio.sleep(ASK_EVERY_S)
        found = await client.ask("GET", AT)
    took_s = loop.time() - began
    if as_json:
        followed = {"followed": not behind, "after_s": round(took_s, 3)}
        print_json(console, {**found, "wait": followed})
        return
    _print_facts(console, found)
    count = len(found["replicas"])
    if behind:
        names = ", ".join(each["replica"] for each in behind)
        console.print(Text(f"After {took_s:.0f} s not applied by: {names}", style="red"))
    else:
        said = f"Applied by {_many(count, 'api process', 'api processes')} after {took_s:.1f} s."
        console.print(Text(said))


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _print_facts(console: Console, found: Mapping[str, Any]) -> None:
    console.print(Text(f"rollout: {found['stage']}  (version {found['version']})", style="bold"))
    tripped, guard = found["tripped"], found["guard"]
    by = f"{moment(found['changed_at'])} by {found['changed_by']}" if found["changed_at"] else None
    kinds = ", ".join(f"{kind} {path}" for kind, path in found["kinds"].items())
    print_facts(
        console,
        {
            "percent": f"{found['percent']:g} % of tenants",
            "internal": ", ".join(found["internal"]),
            "pinned": kinds,
            "shadows": f"{found['shadow_percent']:g} % of jobs"
            if found["shadow_percent"]
            else None,
            "guard": _guard(guard) if guard["on"] else "off",
            "changed": by,
            "fixed by": ", ".join(found["fixed_by"]),
            "tripped": None if tripped is None else f"{moment(tripped['at'])}: {tripped['why']}",
            "applied": _applied(found),
        },
    )


def _guard(terms: Mapping[str, Any]) -> str:
    return (
        f"from {terms['at_least']} jobs of a kind in {terms['window_s']:g} s on:"
        f" {terms['errors_over']:.1%} more failures, {terms['slower_by']:.0%} slower"
    )


def _applied(found: Mapping[str, Any]) -> str:
    there = found["replicas"]
    follow = sum(each["version"] >= found["version"] for each in there)
    return f"by {follow} of {_many(len(there), 'api process', 'api processes')}"


def _print_paths(console: Console, found: Mapping[str, Any]) -> None:
    paths = found["paths"]
    title = f"within {found['guard']['window_s']:g} s"
    table = a_table(title, *(each["path"] for each in paths), elastic=title)
    for name, said in _ROWS:
        table.add_row(name, *(said(path) for path in paths))
    console.print(table)


def _share(path: Mapping[str, Any]) -> str:
    rate = path["error_rate"]
    return "-" if rate is None else f"{path['failed']} ({rate:.1%})"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


_ROWS: Final[Sequence[tuple[str, Callable[[Mapping[str, Any]], str]]]] = (
    ("attended", lambda path: "yes" if path["attended"] else "no"),
    ("submitted", lambda path: str(path["submitted"])),
    ("running", lambda path: str(path["running"])),
    ("ended", lambda path: str(path["ended"])),
    ("failed", _share),
    ("waits, half", lambda path: _seconds(path["wait_p50_s"])),
    ("waits, 95 %", lambda path: _seconds(path["wait_p95_s"])),
    ("runs, half", lambda path: _seconds(path["run_p50_s"])),
    ("runs, 95 %", lambda path: _seconds(path["run_p95_s"])),
)


def _print_shadows(console: Console, shadows: Mapping[str, Any]) -> None:
    if not shadows["compared"]:
        return
    said = f"shadows: {shadows['compared']} compared, {shadows['different']} different"
    console.print(Text(said, style="bold"))
    different = [each for each in shadows["latest"] if not each["same"]]
    if not different:
        return
    table = a_table("job", "kind", "differs", elastic="differs")
    for each in different:
        judged = {k: v for k, v in each["diff"].items() if k not in {"wait_s", "run_s"}}
        told = "; ".join(f"{name}: {_listed(value)}" for name, value in judged.items())
        table.add_row(each["job"], each["kind"], Text(harmless(told)))
    console.print(table)


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
