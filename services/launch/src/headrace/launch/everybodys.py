"""The commands about every tenant's jobs, for operators: find, explain, move, and settle many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from rich.console import Console
from rich.text import Text

from headrace.launch.client import Client, once
from headrace.launch.errors import Exit
from headrace.launch.jobs import asked, standing
from headrace.launch.lanes import print_explanation
from headrace.launch.printing import a_table, one_line, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating
from headrace.launch.words import STYLES, count, harmless, when, why_not

_AT: Final = "/admin/jobs"
_SHOWN: Final = 10  # refusals; --json has them all
Verb = Literal["cancel", "retry"]


async def show_jobs(
    settings: ClientSettings, console: Console, asked_for: Mapping[str, Any], *, as_json: bool
) -> None:
    """`asked_for` is the query, in the api's words."""
    async with operating(settings) as client:
        page = await client.ask("GET", _AT, params=asked_for)
    if as_json:
        print_json(console, page["jobs"])
        return
    table = a_table("job", "tenant", "kind", "state", "age", "says", elastic="says")
    for job in page["jobs"]:
        table.add_row(
            job["id"],
            one_line(job["tenant"], style=""),
            job["kind"],
            Text(standing(job), style=STYLES.get(job["state"], "")),
            when(job["created_at"]),
            one_line(why_not(job["error"]) if job["error"] else asked(job["input"])),
        )
    console.print(table if page["jobs"] else "No such jobs among those looked at.")
    if page["next"] is not None:
        console.print(Text(f"\nOlder ones: --cursor {page['next']}", style="dim"), soft_wrap=True)


async def explain(settings: ClientSettings, job: str, console: Console, *, as_json: bool) -> None:
    async with operating(settings) as client:
        said = await client.ask("GET", f"{_AT}/{job}/explain")
    print_explanation(console, said, as_json=as_json)


async def move(
    settings: ClientSettings,
    job: str,
    wish: Mapping[str, Any],
    console: Console,
    *,
    as_json: bool,
) -> None:
    async with operating(settings) as client:
        moved = await client.ask("POST", f"{_AT}/{job}/move", json=wish)
    if as_json:
        print_json(console, moved)
        return
    ahead = moved["queue_position"]
    before = "next in line" if not ahead else f"{count(ahead, 'job')} before it"
    told = f"{job} of tenant {moved['tenant']}: priority {moved['priority']}, {before}."
    console.print(Text(harmless(told)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """Which jobs: by their ids, or what they have in common."""

    ids: Sequence[str] = ()
    filter: Mapping[str, Any] | None = None
    dry_run: bool = False
    idempotency_key: str | None = None

    def body(self) -> dict[str, Any]:
        which = {"ids": list(self.ids)} if self.ids else {"filter": self.filter}
        return {**which, "dry_run": self.dry_run}


async def settle(
    settings: ClientSettings, verb: Verb, many: Many, console: Console, *, as_json: bool
) -> Exit:
    async with operating(settings) as client:
        done = await _to_the_last(client, verb, many)
    if as_json:
        print_json(console, done)
    else:
        _print(console, verb, done, dry_run=many.dry_run)
    return Exit.UNUSABLE if done["refused"] and not done["done"] else Exit.SUCCEEDED


async def _to_the_last(client: Client, verb: Verb, many: Many) -> dict[str, Any]:
    """One request touches so many; so ask until the filter finds no more."""
    body, total = many.body(), {"matched": 0, "done": 0, "refused": list[Any]()}
    turn = 0
    while True:
        key = many.idempotency_key
        headers = once(None if key is None else f"{key}-{turn}")
        page = await client.ask("POST", f"{_AT}/{verb}", json=body, headers=headers)
        total = {name: total[name] + page[name] for name in total}
        if not page["more"]:
            return total
        turn += 1
        body["cursor"] = page["next"]


_DONE: Final = {"cancel": "asked to end", "retry": "tried again as new jobs"}


def _print(console: Console, verb: Verb, done: dict[str, Any], *, dry_run: bool) -> None:
    if not done["matched"]:
        console.print(f"Nothing to {verb}: no such job.")
        return
    would = "would be " if dry_run else ""
    console.print(f"{count(done['done'], 'job')} {would}{_DONE[verb]}.")
    for each in done["refused"][:_SHOWN]:
        console.print(Text(harmless(f"  not {each['id']}: {each['why']}"), style="dim"))
    if (more := len(done["refused"]) - _SHOWN) > 0:
        console.print(Text(f"  nor {more} others (--json names them)", style="dim"))
