"""The commands for operators about users and their kudos."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from headrace.launch.errors import Exit
from headrace.launch.printing import a_table, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating
from headrace.launch.words import count, when


async def show_list(
    settings: ClientSettings, console: Console, *, limit: int, as_json: bool
) -> None:
    async with operating(settings) as client:
        page = await client.ask("GET", "/admin/users", params={"limit": limit})
    users = page["users"]
    if as_json:
        print_json(console, users)
        return
    table = a_table("user", "tenant", "kudos", "held", "floor", "jobs", "is", elastic="tenant")
    for each in users:
        table.add_row(*_cells(each))
    console.print(table)
    if page["next"] is not None:
        console.print(Text(f"\nThere are more than {count(limit, 'user')}.", style="dim"))


async def show(settings: ClientSettings, console: Console, user: int, *, as_json: bool) -> None:
    async with operating(settings) as client:
        found = await client.ask("GET", f"/admin/users/{user}")
    if as_json:
        print_json(console, found)
        return
    _say(console, found)
    if not found["postings"]:
        return
    table = a_table("when", "why", "kudos", "with", "job", elastic="job")
    for each in found["postings"]:
        other = "the bank" if each["counter"] < 0 else f"#{each['counter']}"
        kudos = f"{each['kudos']:+,g}"
        table.add_row(when(each["at"]), each["reason"], kudos, other, each["job"] or "")
    console.print(table)


async def create(
    settings: ClientSettings, console: Console, asked: Mapping[str, Any], *, as_json: bool
) -> None:
    """The key alone on standard output, for scripts; what is to be said of it beside that."""
    async with operating(settings) as client:
        made = await client.ask("POST", "/admin/users", json=_said(asked))
    if as_json:
        print_json(console, made)
        return
    sys.stderr.write(
        f"User {made['username']} of tenant {made['tenant']}: {made['kudos']:,g} kudos."
        " Its key is shown this once.\n"
    )
    console.print(made["key"], markup=False, soft_wrap=True)


async def change(
    settings: ClientSettings,
    console: Console,
    user: int,
    asked: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    async with operating(settings) as client:
        found = await client.ask("PATCH", f"/admin/users/{user}", json=_said(asked))
    _show(console, found, as_json=as_json)


async def grant(
    settings: ClientSettings, console: Console, user: int, kudos: float, *, as_json: bool
) -> None:
    async with operating(settings) as client:
        found = await client.ask("POST", f"/admin/users/{user}/grant", json={"kudos": kudos})
    _show(console, found, as_json=as_json)


async def check(settings: ClientSettings, console: Console, *, as_json: bool) -> Exit:
    async with operating(settings) as client:
        found = await client.ask("GET", "/admin/ledger")
    wrong = {name: number for name, number in found.items() if number}
    if as_json:
        print_json(console, found)
    elif not wrong:
        console.print("The books are in order.")
    else:
        for name, number in wrong.items():
            console.print(Text(f"{name.replace('_', ' ')}: {number:,}", style="red"))
    return Exit.FAILED if wrong else Exit.SUCCEEDED


def _said(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}


def _show(console: Console, user: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(console, user)
    else:
        _say(console, user)


def _say(console: Console, user: Mapping[str, Any]) -> None:
    held = f", {user['held']:,g} of them held for jobs" if user["held"] else ""
    said = f"{user['username']} of tenant {user['tenant']} has {user['kudos']:,g} kudos{held}."
    console.print(Text(said), soft_wrap=True)


def _cells(user: Mapping[str, Any]) -> list[Text | str]:
    floor = "none" if user["floor"] is None else f"{user['floor']:,g}"
    marks = [mark for mark in ("trusted", "moderator") if user[mark]]
    return [
        Text(user["username"]),
        Text(user["tenant"]),
        f"{user['kudos']:,g}",
        f"{user['held']:,g}",
        floor,
        str(user["concurrency"]),
        ", ".join(marks),
    ]
