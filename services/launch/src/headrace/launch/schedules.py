"""The commands about schedules: jobs that recur."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from rich.console import Console
from rich.text import Text

from headrace.launch.client import once
from headrace.launch.jobs import Wish, asked, job_body
from headrace.launch.printing import a_table, in_json, one_line, print_facts, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.talking import talking
from headrace.launch.words import count, harmless, moment, when

_SAID: Final = {
    "pause": "Schedule {id} makes no more jobs until it is resumed.",
    "resume": "Schedule {id} goes on.",
}


async def create(
    settings: ClientSettings,
    console: Console,
    wish: Wish,
    recurs: Mapping[str, Any],
    of_job: Mapping[str, Any],
) -> None:
    """`recurs` is when, `of_job` is what the job is beside the wish; both in the api's words."""
    async with talking(settings) as client:
        body = {**recurs, "job": {**await job_body(client, wish), **of_job}}
        made = await client.ask("POST", "/schedules", json=body, headers=once(wish.idempotency_key))
    if wish.as_json:
        print_json(console, made)
    else:
        said = f"Schedule {made['id']} fires next {_next_in_words(made)}."
        console.print(Text(said), soft_wrap=True)


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
    table = a_table("schedule", "cron", "next", "job", elastic="job")
    for each in schedules:
        table.add_row(each["id"], each["cron"], _next(each), _job(each))
    console.print(table)
    if page["next"] is not None:
        console.print(Text(f"\nThere are more than {count(limit, 'schedule')}.", style="dim"))


async def show(settings: ClientSettings, console: Console, schedule: str, *, as_json: bool) -> None:
    async with talking(settings) as client:
        found = await client.ask("GET", f"/schedules/{schedule}")
    if as_json:
        print_json(console, found)
        return
    job, zone = found["job"], found["timezone"]
    console.print(Text(f"schedule {found['id']}"))
    print_facts(
        console,
        {
            "cron": f"{found['cron']} ({zone})",
            "next": _next_in_words(found),
            "last": found["last_at"] and f"{moment(found['last_at'], zone)}",
            "failed": found["last_error"],
            "job": f"{job['kind']} · {job['model'] or 'any model'}",
        },
    )
    console.print("\ninput", style="dim")
    console.print(Text(harmless(in_json(job["input"]))))
    if found["fires"]:
        console.print("\nfired", style="dim")
        table = a_table("due", "job", elastic="job")
        for each in found["fires"]:
            made = each["job"] or f"none: {each['error']}"
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
    """Prints the new job's id, for `headrace watch`."""
    async with talking(settings) as client:
        job = await client.ask("POST", f"/schedules/{schedule}/run-now", headers=once(key))
    console.print(in_json(job) if as_json else job["id"], markup=False, soft_wrap=True)


async def delete(settings: ClientSettings, console: Console, schedule: str) -> None:
    async with talking(settings) as client:
        await client.delete(f"/schedules/{schedule}")
    console.print(Text(f"Schedule {schedule} is gone; the jobs it made stay."))


def _next(schedule: dict[str, Any]) -> str:
    if schedule["paused_at"] is not None:
        return "paused"
    return "never" if schedule["next_at"] is None else when(schedule["next_at"])


def _next_in_words(schedule: dict[str, Any]) -> str:
    short = _next(schedule)
    if short in {"paused", "never"}:
        return short
    return f"{moment(schedule['next_at'], schedule['timezone'])} ({short})"


def _job(schedule: dict[str, Any]) -> Text:
    if schedule["last_error"]:
        return one_line(f"last failed: {schedule['last_error']}", style="red")
    return one_line(f"{schedule['job']['kind']} {asked(schedule['job']['input'])}")
