"""The commands that talk to an api: submit, watch, list, cancel, and the catalog."""

from __future__ import annotations

import asyncio
import mimetypes
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from headrace.launch.client import Client
from headrace.launch.errors import Exit, Misused
from headrace.launch.follow import exit_code, follow
from headrace.launch.inputs import PROMPTS, build_input, pick_model, picture_name
from headrace.launch.outcomes import conclude
from headrace.launch.printing import a_table, in_json, one_line, print_json
from headrace.launch.settings import ClientSettings
from headrace.launch.show import PlainShow, Show, show_for
from headrace.launch.talking import talking
from headrace.launch.view import ENDED
from headrace.launch.words import STYLES, seconds, took_s, when


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What `headrace submit` was asked for."""

    kind: str
    prompt: str | None = None
    model: str | None = None
    given: Sequence[str] = ()
    image: Path | None = None
    out: Path | None = None
    idempotency_key: str | None = None
    as_json: bool = False
    watch: bool = True


async def submit(settings: ClientSettings, wish: Wish, console: Console) -> Exit:
    async with talking(settings) as client:
        body = await job_body(client, wish)
        job = await client.submit(body, key=wish.idempotency_key)
        return await _made(client, job, console, wish)


async def retry(settings: ClientSettings, job: str, console: Console, wish: Wish) -> Exit:
    """As a new job, which is then watched as if it had been submitted by hand."""
    async with talking(settings) as client:
        new = await client.retry(job, key=wish.idempotency_key)
        return await _made(client, new, console, wish)


async def _made(client: Client, job: dict[str, Any], console: Console, wish: Wish) -> Exit:
    if not wish.watch:
        console.print(in_json(job) if wish.as_json else job["id"], markup=False, soft_wrap=True)
        return Exit.SUCCEEDED
    show = _quiet() if wish.as_json else show_for(console)
    show.say(f"{job['kind']} · {job['model']} · {job['id']}")
    return await _to_the_end(client, job["id"], show, console, wish)


async def watch(
    settings: ClientSettings, job: str, console: Console, *, as_json: bool, out: Path | None
) -> Exit:
    async with talking(settings) as client:
        record = await client.job(job)
        show = _quiet() if as_json else show_for(console)
        show.say(f"{record['kind']} · {record['model']} · {record['id']}")
        wish = Wish(kind=record["kind"], as_json=as_json, out=out)
        return await _to_the_end(client, job, show, console, wish, cancels=False)


async def _to_the_end(
    client: Client, job: str, show: Show, console: Console, wish: Wish, *, cancels: bool = True
) -> Exit:
    with show:
        view = await follow(client, job, show, cancels=cancels)
    if wish.as_json:
        print_json(console, await client.job(job))
    else:
        await conclude(client, job, view, show, console, out=wish.out)
    return exit_code(view)


async def job_body(client: Client, wish: Wish) -> dict[str, Any]:
    """Kind, model and input, as the catalog types them. Raises Misused."""
    entry = pick_model(await client.models(), wish.kind, wish.model)
    schema = entry["input_schema"]
    given = build_input(schema, prompt=wish.prompt, given=wish.given)
    if wish.image is not None:
        name = picture_name(schema)
        given[name] = {"blob": await _upload(client, wish.image)}
    return {"kind": wish.kind, "model": entry["model"], "input": given}


async def _upload(client: Client, path: Path) -> str:
    try:
        data = await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise Misused(f"Cannot read {path}: {error.strerror}.") from error
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return await client.put_blob(data, media_type)


async def show_jobs(
    settings: ClientSettings,
    console: Console,
    asked_for: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """`asked_for` is the query, in the api's words."""
    async with talking(settings) as client:
        jobs = await client.jobs(**asked_for)
    if as_json:
        print_json(console, jobs)
    elif not jobs:
        console.print("No jobs. Try: headrace submit text 'Why is the sky blue?'")
    else:
        console.print(_jobs_table(jobs))


def _jobs_table(jobs: Sequence[dict[str, Any]]) -> Table:
    table = a_table("job", "kind", "state", "took", "age", "asked", elastic="asked")
    for job in jobs:
        took = took_s(job)
        table.add_row(
            job["id"],
            job["kind"],
            Text(standing(job), style=STYLES.get(job["state"], "")),
            "" if took is None else seconds(took),
            when(job["created_at"]),
            one_line(asked(job["input"])),
        )
    return table


def standing(job: dict[str, Any]) -> str:
    if job["state"] == "running" and job["progress"] is not None:
        return f"running {job['progress']:.0%}"
    return str(job["state"])


def asked(given: dict[str, Any]) -> str:
    """The prompt, or else the whole input."""
    words = next((given[name] for name in PROMPTS if isinstance(given.get(name), str)), None)
    return in_json(given) if words is None else str(words)


async def cancel(settings: ClientSettings, job: str, console: Console, *, as_json: bool) -> None:
    async with talking(settings) as client:
        found = await client.cancel(job)
    if as_json:
        print_json(console, found)
        return
    state = found["state"]
    ended = state in ENDED
    said = "it has ended" if ended else "it will be stopped"
    console.print(f"{said} ({state}): {job}", markup=False)


def _quiet() -> Show:
    """The JSON at the end is all that stdout gets; news goes to stderr."""
    return PlainShow(sys.stderr, sys.stderr)
