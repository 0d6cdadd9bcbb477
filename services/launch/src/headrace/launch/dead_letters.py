"""The commands about dead letters: what died and of what, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from rich.console import Console
from rich.text import Text

from headrace.launch.client import Client
from headrace.launch.printing import a_table, in_json, one_line, print_facts, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import operating
from headrace.launch.words import count, harmless, moment, seconds, when, why_not

_AT: Final = "/admin/dead-letters"
_WHAT_NEXT: Final = (
    "\nOf one cause: headrace dead-letters list | replay | discard --cause CAUSE\n"
    "One of them:  headrace dead-letters show | replay | discard NUMBER"
)
Verb = Literal["replay", "discard"]


async def show_groups(settings: ClientSettings, console: Console, *, as_json: bool) -> None:
    async with operating(settings) as client:
        groups = (await client.ask("GET", f"{_AT}/groups"))["groups"]
    if as_json:
        print_json(console, groups)
        return
    if not groups:
        console.print("No dead letters.")
        return
    table = a_table("cause", "open", "last", "what", "died of", elastic="died of")
    for each in groups:
        title = Text(harmless(each["title"]))
        last = when(each["last_at"])
        table.add_row(each["fingerprint"], str(each["count"]), last, each["source"], title)
    console.print(table)
    console.print(Text(_WHAT_NEXT, style="dim"))


async def show_list(
    settings: ClientSettings,
    console: Console,
    asked: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """`asked` is the query, in the api's words."""
    async with operating(settings) as client:
        found = await client.ask("GET", _AT, params=asked)
    letters = found["letters"]
    if as_json:
        print_json(console, letters)
        return
    if not letters:
        console.print("No such dead letters, or none that are still open.")
        return
    table = a_table("number", "queue", "tenant", "parked", "state", "reason", elastic="reason")
    for each in letters:
        table.add_row(
            str(each["number"]),
            one_line(each["queue"], style=""),
            one_line(each["tenant"] or "", style=""),
            when(each["parked_at"]),
            _state(each),
            one_line(each["reason"]),
        )
    console.print(table)
    if found["next"] is not None:
        console.print(Text(f"\nOlder ones: --before {found['next']}", style="dim"))


async def show_letter(
    settings: ClientSettings, console: Console, number: int, *, as_json: bool
) -> None:
    async with operating(settings) as client:
        letter = await client.ask("GET", f"{_AT}/{number}")
    if as_json:
        print_json(console, letter)
        return
    died = letter["died"]
    console.print(Text(f"dead letter {number} · {letter['source']} · {_state(letter)}"))
    print_facts(
        console,
        {
            "reason": letter["reason"],
            "cause": letter["fingerprint"],
            "queue": letter["queue"],
            "tenant": letter["tenant"],
            "job": letter["job"],
            "parked": f"{moment(letter['parked_at'])} ({when(letter['parked_at'])})",
            "replay": letter["replay_at"] and moment(letter["replay_at"]),
            "settled": letter["settled"] and _settled(letter),
            "ran": died and f"{died['kind']} · {died['model']}",
            "trace": died and died["trace_id"],
        },
    )
    if died is not None:
        _print_job(console, died)
    elif letter["source"] == "job":
        console.print("The job itself has been deleted; it cannot be replayed.")
    else:
        _print_message(console, letter)


def _print_job(console: Console, died: dict[str, Any]) -> None:
    console.print("\ninput", style="dim")
    console.print(Text(harmless(in_json(died["input"]))))
    console.print("\nattempts", style="dim")
    table = a_table("", "began", "ran", "worker", "error", elastic="error")
    for each in died["attempts"]:
        ran_s = (each["stages"] or {}).get("run_s")
        error = each["error"]
        said = f"{error['kind']}: {why_not(error)}" if error else str(each["outcome"] or "")
        table.add_row(
            str(each["attempt"]),
            when(each["started_at"]),
            "" if ran_s is None else seconds(ran_s),
            harmless(each["worker"]),
            Text(said),
        )
    console.print(table)


def _print_message(console: Console, letter: dict[str, Any]) -> None:
    whole = "" if letter["whole"] else ", of which only the beginning was kept"
    print_facts(console, {f"{name}:": value for name, value in letter["headers"].items()})
    about = f"{letter['encoding']}, {letter['size']:,} bytes{whole}"
    console.print(Text(f"\nbody ({about})", style="dim"))
    console.print(Text(harmless(letter["body"])))


async def settle_one(
    settings: ClientSettings,
    console: Console,
    verb: Verb,
    number: int,
    asked: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """`asked` may hold an input to replay it with."""
    async with operating(settings) as client:
        body = {"json": asked} if asked else {}
        letter = await client.ask("POST", f"{_AT}/{number}/{verb}", **body)
    if as_json:
        print_json(console, letter)
    elif letter["retried_as"]:
        told = f"Dead letter {number} runs again with that input, as job {letter['retried_as']}."
        console.print(told, soft_wrap=True)
    elif verb == "discard":
        console.print(f"Dead letter {number} is discarded; its row stays.")
    else:
        told = f"`headrace dead-letters show {number}` tells what becomes of it"
        console.print(f"Dead letter {number} will be replayed at once; {told}.", soft_wrap=True)


async def settle_all(
    settings: ClientSettings,
    console: Console,
    verb: Verb,
    asked: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """`asked` is a filter, or all."""
    async with operating(settings) as client:
        done = await _settle(client, verb, asked)
    if as_json:
        print_json(console, done)
        return
    console.print(Text(_done(verb, done)))
    if done["more"]:
        console.print("Of the others only the beginning was kept: they can only be discarded.")


async def _settle(client: Client, verb: Verb, asked: Mapping[str, Any]) -> dict[str, Any]:
    """One request settles up to so many; so ask until none is left, or none of them can be."""
    total = 0
    while True:
        done = await client.ask("POST", f"{_AT}/{verb}", json=asked)
        total += done["count"]
        if not done["more"] or not done["count"]:
            return {**done, "count": total}


def _done(verb: Verb, done: dict[str, Any]) -> str:
    if not done["count"]:
        return f"Nothing to {verb}: no open dead letter matches."
    letters = count(done["count"], "dead letter")
    if verb == "discard":
        return f"{letters} discarded; the rows stay."
    return f"{letters} will be replayed by {moment(done['until'])}."


def _state(letter: dict[str, Any]) -> str:
    if letter["settled"]:
        return str(letter["settled"])
    return "open" if letter["replay_at"] is None else f"replay {when(letter['replay_at'])}"


def _settled(letter: dict[str, Any]) -> str:
    new = f", as job {letter['retried_as']}" if letter["retried_as"] else ""
    return f"{letter['settled']} {when(letter['settled_at'])} by {letter['settled_by']}{new}"
