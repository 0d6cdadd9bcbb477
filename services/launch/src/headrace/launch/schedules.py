"""The commands about schedules: jobs and runs that recur."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from rich.console import Console
from rich.text import Text

from headrace.core.pipeline import Plain
from headrace.launch.client import Client, once
from headrace.launch.errors import Misused
from headrace.launch.inputs import build_input
from headrace.launch.jobs import Wish, asked, job_body
from headrace.launch.printing import a_table, in_json, one_line, print_facts, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import talking
from headrace.launch.words import count, harmless, moment, when

_SAID: Final = {
    "pause": "Schedule {id} makes nothing more until it is resumed.",
    "resume": "Schedule {id} goes on.",
}


# What a pipeline takes, in the words that type a model's inputs.
_SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    Plain.TEXT: {"type": "string"},
    Plain.NUMBER: {"type": "number"},
    Plain.FLAG: {"type": "boolean"},
    Plain.BLOB: {"type": "object"},
    Plain.OBJECT: {"type": "object"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring:
    """What is to recur: the wish's job, or a run of the pipeline. `recurs` is when, in the api's words as `more` is."""

    recurs: Mapping[str, Any]
    more: Mapping[str, Any]
    wish: Wish
    pipeline: str | None = None


async def create(settings: ClientSettings, console: Console, asked_for: Recurring) -> None:
    wish = asked_for.wish
    async with talking(settings) as client:
        if asked_for.pipeline is None:
            what = {"job": {**await job_body(client, wish), **asked_for.more}}
        else:
            run = await _run_body(client, asked_for.pipeline, wish)
            what = {"run": {**run, **asked_for.more}}
        body = {**asked_for.recurs, **what}
        made = await client.ask("POST", "/schedules", json=body, headers=once(wish.idempotency_key))
    if wish.as_json:
        print_json(console, made)
    else:
        said = f"Schedule {made['id']} fires next {_next_in_words(made)}."
        console.print(Text(said), soft_wrap=True)
        if made["in_words"] is not None:
            console.print(Text(f"{made['in_words']}, {made['timezone']}."), soft_wrap=True)


async def _run_body(client: Client, pipeline: str, wish: Wish) -> dict[str, Any]:
    """Raises Misused."""
    listed: Any = await client.ask("GET", "/pipelines")
    pipelines = {each["name"]: each for each in listed}
    if pipeline not in pipelines:
        known = ", ".join(pipelines) or "none"
        raise Misused(f"No pipeline {pipeline!r}. Known: {known}.")
    takes = {each["name"]: _schema(each["shape"]) for each in pipelines[pipeline]["takes"]}
    given = build_input({"properties": takes}, prompt=wish.prompt, given=wish.given)
    return {"pipeline": pipeline, "input": given}


def _schema(shape: str) -> Mapping[str, Any]:
    return {"type": "array"} if shape.startswith("a list of") else _SCHEMAS.get(shape, {})


async def show_list(
    settings: ClientSettings, console: Console, *, limit: int, as_json: bool
) -> None:
    async with talking(settings) as client:
        page = await client.ask("GET", "/schedules", params={"limit": limit})
    schedules = page["schedules"]
    if as_json:
        print_json(console, schedules)
        return
    if not schedules:
        example = 'headrace schedules create "0 6 * * MON-FRI" text "What is on today?"'
        console.print(Text(f"No schedules. Try: {example}"), soft_wrap=True)
        return
    table = a_table("schedule", "cron", "next", "makes", elastic="makes")
    for each in schedules:
        table.add_row(each["id"], each["cron"], _next(each), _made(each))
    console.print(table)
    if page["next"] is not None:
        console.print(Text(f"\nThere are more than {count(limit, 'schedule')}.", style="dim"))


async def show(settings: ClientSettings, console: Console, schedule: str, *, as_json: bool) -> None:
    async with talking(settings) as client:
        found = await client.ask("GET", f"/schedules/{schedule}")
    if as_json:
        print_json(console, found)
        return
    job, run, zone = found["job"], found["run"], found["timezone"]
    console.print(Text(f"schedule {found['id']}"))
    print_facts(
        console,
        {
            "cron": f"{found['cron']} ({zone})",
            "that is": found["in_words"],
            "next": _next_in_words(found),
            "last": found["last_at"] and f"{moment(found['last_at'], zone)}",
            "failed": found["last_error"],
            "job": job and f"{job['kind']} · {job['model'] or 'any model'}",
            "run of": run and run["pipeline"],
        },
    )
    console.print("\ninput", style="dim")
    console.print(Text(harmless(in_json((run or job)["input"]))))
    if found["fires"]:
        console.print("\nfired", style="dim")
        table = a_table("due", "made", elastic="made")
        for each in found["fires"]:
            made = each["job"] or each["run"] or f"nothing: {each['error']}"
            table.add_row(moment(each["fire_at"], zone), Text(harmless(made)))
        console.print(table)


async def turn(
    settings: ClientSettings,
    console: Console,
    schedule: str,
    verb: Literal["pause", "resume"],
    *,
    as_json: bool,
) -> None:
    async with talking(settings) as client:
        found = await client.ask("POST", f"/schedules/{schedule}/{verb}")
    if as_json:
        print_json(console, found)
        return
    then = f" It fires next {_next_in_words(found)}." if verb == "resume" else ""
    console.print(Text(_SAID[verb].format(id=found["id"]) + then), soft_wrap=True)


async def run_now(
    settings: ClientSettings,
    console: Console,
    schedule: str,
    *,
    key: str | None,
    as_json: bool,
) -> None:
    """Prints the id of the new job, for `headrace watch`, or run, for `headrace runs watch`."""
    async with talking(settings) as client:
        made = await client.ask("POST", f"/schedules/{schedule}/run-now", headers=once(key))
    console.print(in_json(made) if as_json else made["id"], markup=False, soft_wrap=True)


async def delete(settings: ClientSettings, console: Console, schedule: str) -> None:
    async with talking(settings) as client:
        await client.delete(f"/schedules/{schedule}")
    console.print(Text(f"Schedule {schedule} is gone; what it made stays."))


def _next(schedule: dict[str, Any]) -> str:
    if schedule["paused_at"] is not None:
        return "paused"
    return "never" if schedule["next_at"] is None else when(schedule["next_at"])


def _next_in_words(schedule: dict[str, Any]) -> str:
    short = _next(schedule)
    if short in {"paused", "never"}:
        return short
    return f"{moment(schedule['next_at'], schedule['timezone'])} ({short})"


def _made(schedule: dict[str, Any]) -> Text:
    if schedule["last_error"]:
        return one_line(f"last failed: {schedule['last_error']}", style="red")
    job, run = schedule["job"], schedule["run"]
    what = job["kind"] if run is None else f"run of {run['pipeline']}:"
    return one_line(f"{what} {asked((run or job)['input'])}")
