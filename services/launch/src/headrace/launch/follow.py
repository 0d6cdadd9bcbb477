"""Follow one job to its end on a show, with Ctrl-C as the way to cancel it or to leave."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import aclosing, contextmanager
from typing import Final

from headrace.launch.client import Client, Seen
from headrace.launch.errors import Exit, LaunchError
from headrace.launch.show import Show
from headrace.launch.view import View, see

EXIT: Final = {"succeeded": Exit.SUCCEEDED, "cancelled": Exit.CANCELLED}


class Left(LaunchError):
    """The watcher went; the job goes on."""

    def __init__(self, job: str, *, cancels: bool) -> None:
        what = "is still being cancelled" if cancels else "goes on"
        super().__init__(f"Job {job} {what}: `headrace watch {job}`.")


def exit_code(view: View) -> Exit:
    return EXIT.get(view.state, Exit.FAILED)


async def watch(
    client: Client, job: str, show: Show, *, on_frame: Callable[[Seen, View], None] | None = None
) -> View:
    """Every frame onto `show`; the view at the end."""
    view = View()
    frames = client.frames(
        job, on_gap=lambda why: show.say(f"connection lost ({why}); trying again")
    )
    async with aclosing(frames) as each:
        async for seen in each:
            view = see(view, seen.position, seen.frame)
            show.see(view)
            if on_frame is not None:
                on_frame(seen, view)
    return view


async def follow(client: Client, job: str, show: Show, *, cancels: bool) -> View:
    """As `watch`; the first Ctrl-C cancels the job if `cancels`, the last one raises Left."""
    pressed = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch(client, job, show))
            canceller = group.create_task(_cancel_when(pressed, client, job, show))
            with _on_interrupt(None if cancels else watching.cancel, pressed, watching.cancel):
                await asyncio.wait([watching])
            canceller.cancel()
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    if watching.cancelled():
        raise Left(job, cancels=cancels)
    return watching.result()


@contextmanager
def _on_interrupt(
    leave: Callable[[], object] | None, first: asyncio.Event, then: Callable[[], object]
) -> Generator[None]:
    """`leave` at once where there is one; else `first` is set, and `then` called at the next."""
    loop = asyncio.get_running_loop()

    def handle() -> None:
        act = leave or (then if first.is_set() else first.set)
        act()

    loop.add_signal_handler(signal.SIGINT, handle)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def _cancel_when(pressed: asyncio.Event, client: Client, job: str, show: Show) -> None:
    await pressed.wait()
    show.say("cancelling the job (Ctrl-C again leaves it)")
    try:
        await client.cancel(job)
    except LaunchError as error:  # the job goes on, and so does watching it
        show.say(f"it could not be cancelled: {error}")
