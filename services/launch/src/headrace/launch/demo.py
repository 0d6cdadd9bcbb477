"""`headrace demo`: the embedded default, from nothing to a first token and a first picture, with times."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from headrace.contracts.frames import Token
from headrace.launch.client import Client, Seen, connected
from headrace.launch.demo_report import Loaded, Ran, Told, memory_of, report
from headrace.launch.errors import Exit, LaunchError, Misused
from headrace.launch.follow import watch
from headrace.launch.outcomes import blob_ids
from headrace.launch.picture import drawn
from headrace.launch.process import Child, ChildFailed, child
from headrace.launch.show import show_for
from headrace.launch.view import View
from headrace.launch.words import outcome, seconds, why_not

LANES: Final = {"text": "smollm2", "image": "emoji-flow"}
INPUTS: Final[dict[str, dict[str, Any]]] = {
    "text": {"prompt": "Explain in two sentences why the sky is blue.", "seed": 4},
    "image": {"prompt": "a red rocket", "seed": 7},
}
SETTINGS: Final = {  # the rest is as it is when nobody sets anything
    "PORT": "0",
    "LOG_FORMAT": "json",
    "DRAIN_S": "10",
}
LISTEN_WITHIN_S: Final = 60.0
LOAD_WITHIN_S: Final = 120.0
JOB_WITHIN_S: Final = 120.0


async def demo(console: Console, *, out: Path, settings: Mapping[str, str] = SETTINGS) -> Exit:
    """Raises Misused when the picture could not be kept."""
    if not out.parent.is_dir():
        raise Misused(f"Cannot write {out}: there is no folder {out.parent}. Name another: --out.")
    with TemporaryDirectory(prefix="headrace-demo-") as folder:
        async with _cancelled_by(signal.SIGTERM, signal.SIGHUP):
            told = {**settings, "DATA_DIR": str(Path(folder) / "data")}
            return await _run_and_stop(console, Path(folder), told, out)


async def _run_and_stop(
    console: Console, folder: Path, settings: Mapping[str, str], out: Path
) -> Exit:
    _say(console, "\nHeadrace", "one command, one process tree, SQLite; nothing else is needed\n")
    told = Told()
    async with child(folder, settings) as running:
        try:
            await _story(console, running, told, out)
            began = time.monotonic()
            if (code := await running.stop()) != 0:
                raise ChildFailed(f"Headrace stopped with exit code {code}.")
        except LaunchError as error:
            return _failed(console, running, str(error))
    console.print(report(told, width=max(16, min(40, console.width - 58))))
    _tick(console, time.monotonic() - began, "to stop: asked to, drained, left with exit code 0")
    _say(console, "\n  Now yours:", "make run, then open the page it names\n")
    return Exit.SUCCEEDED


async def _story(console: Console, running: Child, told: Told, out: Path) -> None:
    url = await _listening(console, running, told)
    async with connected(url) as client:
        for kind in LANES:
            await _ready(console, client, running, told, kind)
            view = await _job(console, client, running, told, kind)
            await _keep(console, client, view, out)
    told.memory = memory_of(running.pid, running.events.get("host.started", []))


async def _listening(console: Console, running: Child, told: Told) -> str:
    heard = running.events
    with _waiting(console, "starting: settings, database, api, dispatcher, worker"):
        await running.until(
            "it listened", lambda: "api.listening" in heard, within_s=LISTEN_WITHIN_S
        )
    event = heard["api.listening"][0]
    told.listening_s = event["at_s"]
    _tick(console, event["at_s"], f"api, dispatcher and worker are up at {event['url']}")
    return str(event["url"])


async def _ready(console: Console, client: Client, running: Child, told: Told, kind: str) -> None:
    """Until the engine is loaded and what it runs can be asked for."""
    lane = LANES[kind]

    def loaded() -> list[dict[str, Any]]:
        _refuse_absent(running, lane)
        return [each for each in running.events.get("host.loaded", []) if each["lane"] == lane]

    with _waiting(console, f"loading {lane}"):
        await running.until(f"{lane} was loaded", lambda: bool(loaded()), within_s=LOAD_WITHIN_S)
        await _announced(client, kind)
    event = loaded()[0]
    told.loaded[kind] = Loaded(lane, running.age_s, event["load_s"])
    _tick(console, running.age_s, f"{event['model']} is loaded, in a process of its own")


def _refuse_absent(running: Child, lane: str) -> None:
    for absent in running.events.get("engine.absent", []):
        if absent["lane"] == lane:
            raise ChildFailed(f"Engine {lane} {absent['why']}.")


async def _announced(client: Client, kind: str) -> None:
    """The worker has told the dispatcher, who writes it down: a matter of milliseconds."""
    deadline = time.monotonic() + LOAD_WITHIN_S
    while not any(entry["kind"] == kind for entry in await client.models()):
        if time.monotonic() > deadline:
            raise ChildFailed(f"No engine of kind {kind} was announced.")
        await asyncio.sleep(0.02)


async def _job(console: Console, client: Client, running: Child, told: Told, kind: str) -> View:
    ran = Ran(kind, submitted_s=running.age_s)

    def on_frame(seen: Seen, _: View) -> None:
        if ran.first_s is None and isinstance(seen.frame, Token):
            ran.first_s = running.age_s

    _say(console, f"\n  {kind}", INPUTS[kind]["prompt"])
    job = await client.submit({"kind": kind, "input": INPUTS[kind]})
    show = show_for(console, notes=console.file)
    try:
        with show:
            async with asyncio.timeout(JOB_WITHIN_S):
                view = await watch(client, job["id"], show, on_frame=on_frame)
    except TimeoutError:
        raise ChildFailed(f"The {kind} job took longer than {JOB_WITHIN_S:g} s.") from None
    if view.state != "succeeded":
        raise ChildFailed(f"The {kind} job {view.state}: {why_not(view.error)}.")
    ran.timeline = await client.job(job["id"], "/timeline")
    ran.metrics = view.metrics
    told.ran.append(ran)
    _say(console, "", outcome(view, await client.job(job["id"])))
    return view


async def _keep(console: Console, client: Client, view: View, out: Path) -> None:
    for blob in blob_ids(view.result):
        data = await client.get_blob(blob)
        if (picture := drawn(console, data)) is not None:
            console.print(picture)
        try:
            await asyncio.to_thread(out.write_bytes, data)
        except OSError as error:
            raise ChildFailed(
                f"Cannot write {out}: {error.strerror}. Name another: --out."
            ) from error
        _say(console, "", f"saved {out} ({len(data):,} bytes)")


def _failed(console: Console, running: Child, why: str) -> Exit:
    console.print(Text(f"\n  ✗ {why}", style="red"))
    if running.last_lines:
        console.print(Text("\n  The last it said:", style="dim"))
        for line in running.last_lines:
            console.print(Text(f"  {line}"), soft_wrap=True)
    return Exit.FAILED


def _say(console: Console, head: str, rest: str) -> None:
    said = Text().append(head, style="bold").append(f"  {rest}", style="dim")
    console.print(said, soft_wrap=not console.is_terminal)


def _tick(console: Console, at_s: float, what: str) -> None:
    said = Text().append("  ✓ ", style="green").append(f"{seconds(at_s):>8}  {what}")
    console.print(said, soft_wrap=not console.is_terminal)


def _waiting(console: Console, what: str) -> AbstractContextManager[object]:
    return console.status(f"[dim]{what}[/]") if console.is_terminal else nullcontext()


@asynccontextmanager
async def _cancelled_by(*numbers: signal.Signals) -> AsyncGenerator[None]:
    """So that the child is stopped also when we are told to go, and not by Ctrl-C alone."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101  # a coroutine runs in a task
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
