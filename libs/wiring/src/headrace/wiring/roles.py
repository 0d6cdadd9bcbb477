"""Roles and their lifecycle: started together, stopped together, in two steps."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from headrace.telemetry.logs import get_logger, trace_of

_log = get_logger("wiring.roles")


class Role(Protocol):
    @property
    def name(self) -> str: ...

    async def serve(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set and the work in hand is done.

        Being cancelled means the grace is over: give back what is unfinished and leave.
        """


@dataclass(frozen=True, slots=True)
class _Part:
    """A role that is being played."""

    role: Role
    stop: asyncio.Event
    task: asyncio.Task[Exception | None]


STUCK: Final = 70  # what a process leaves with that a role would not let go


async def run(
    roles: Sequence[Role], stop: asyncio.Event, *, grace_s: float, last_s: float = 10.0
) -> None:
    """Serve every role until `stop`, or until one leaves; raises what failed once all have left.

    They stop one after another, the last first, each with a grace of `grace_s`: whoever comes
    earlier in `roles` is still there to hear the last words of those after it. A bare TaskGroup
    would cancel the others at once when one fails; here they drain first.

    A role that has not left `last_s` after it was cancelled never will. The process then ends without
    it, and without cleaning up: nothing in asyncio ends a task that does not want to.
    """
    async with asyncio.TaskGroup() as group:
        parts = [_begin(group, role, stop) for role in roles]
        try:
            await stop.wait()
            for part in reversed(parts):
                await _end(part, grace_s, last_s)
        except asyncio.CancelledError:
            await _cut_off(parts, last_s)
            raise
        finally:
            _leave_what_is_stuck(parts, last_s)
    failures = [error for part in parts if (error := _outcome(part)) is not None]
    if failures:
        raise failures[0]


def _begin(group: asyncio.TaskGroup, role: Role, all_stop: asyncio.Event) -> _Part:
    stop = asyncio.Event()
    return _Part(role, stop, group.create_task(_guarded(role, stop, all_stop)))


async def _end(part: _Part, grace_s: float, last_s: float) -> None:
    part.stop.set()
    _, late = await asyncio.wait({part.task}, timeout=grace_s)
    if late:
        _log.warning("role.grace_over", role=part.role.name, grace_s=grace_s)
        part.task.cancel()
        await asyncio.wait({part.task}, timeout=last_s)


async def _cut_off(parts: Sequence[_Part], last_s: float) -> None:
    for part in parts:
        part.task.cancel()
    if parts:
        await asyncio.wait({part.task for part in parts}, timeout=last_s)


def _leave_what_is_stuck(parts: Sequence[_Part], last_s: float) -> None:
    if stuck := [part.role.name for part in parts if not part.task.done()]:
        _log.critical("role.stuck", roles=stuck, last_s=last_s)
        os._exit(STUCK)


async def _guarded(role: Role, stop: asyncio.Event, all_stop: asyncio.Event) -> Exception | None:
    try:
        await role.serve(stop)
    except Exception as error:  # noqa: BLE001  # supervised here; raised by run() after the drain
        _log.error("role.failed", role=role.name, error=str(error), exc_info=trace_of(error))
        return error
    finally:
        all_stop.set()
    return None


def _outcome(part: _Part) -> Exception | None:
    return None if part.task.cancelled() else part.task.result()


@asynccontextmanager
async def stop_on_signals(stop: asyncio.Event) -> AsyncGenerator[None]:
    """SIGINT and SIGTERM set `stop`; a second one cancels whoever is in this block."""
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def on_signal() -> None:
        if stop.is_set() and main is not None:
            main.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
