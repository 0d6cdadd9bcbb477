"""What is said and kept once a job has ended: its picture, its numbers, or why there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from headrace.launch.client import Client
from headrace.launch.errors import Misused
from headrace.launch.picture import drawn
from headrace.launch.show import Show
from headrace.launch.view import View
from headrace.launch.words import harmless, outcome, why_not

_LONGEST_JSON = 600  # characters of a result that a terminal is shown


async def conclude(
    client: Client, job_id: str, view: View, show: Show, console: Console, *, out: Path | None
) -> None:
    """Show what came of it, in the order in which one wants to know."""
    job = await client.job(job_id)
    if view.state == "succeeded":
        await _result(client, view, show, console, out)
    elif view.error is not None:
        show.say(f"{view.state}: {why_not(view.error)}")
    show.say(outcome(view, job))


async def _result(
    client: Client, view: View, show: Show, console: Console, out: Path | None
) -> None:
    blobs = list(blob_ids(view.result))
    if out is not None:
        await _save(client, blobs, view, show, out)
    for blob in blobs:
        data = await client.get_blob(blob)
        if (picture := drawn(console, data)) is not None:
            console.print(picture)
        if out is None:
            show.say(f"picture: {client.url}/blobs/{blob} (--out FILE keeps it)")
    if not blobs and not view.tokens:
        console.print(
            _in_short(view.result, whole=not console.is_terminal), markup=False, soft_wrap=True
        )


async def _save(client: Client, blobs: list[str], view: View, show: Show, out: Path) -> None:
    """The picture, or else the whole result as JSON."""
    data = await client.get_blob(blobs[0]) if blobs else msgspec.json.encode(view.result)
    try:
        await asyncio.to_thread(out.write_bytes, data)
    except OSError as error:
        raise Misused(f"Cannot write {out}: {error.strerror}.") from error
    show.say(f"saved {out} ({len(data):,} bytes)")


def blob_ids(result: Any) -> Iterator[str]:
    """Every {"blob": id} in a result, wherever it is."""
    match result:
        case {"blob": str(blob)}:
            yield blob
        case Mapping():
            for value in result.values():
                yield from blob_ids(value)
        case list():
            for value in result:
                yield from blob_ids(value)
        case _:
            pass


def _in_short(result: Any, *, whole: bool) -> str:
    if isinstance(result, dict) and isinstance(result.get("text"), str):
        return harmless(result["text"])
    text = msgspec.json.encode(result).decode()
    if whole or len(text) <= _LONGEST_JSON:
        return text
    return f"{text[:_LONGEST_JSON]} … ({len(text):,} characters; --json prints it all)"
