"""A Headrace of our own in a child process: started, listened to, stopped, and never left behind."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from headrace.launch.errors import LaunchError
from headrace.launch.settings import environment_without_settings

LAST_LINES: Final = 20
STOP_WITHIN_S: Final = 20.0


class ChildFailed(LaunchError):
    """It left, or did not get where it should in time."""


class Child:
    """What it logs is kept as events, each with the second (since its start) at which it was heard."""

    def __init__(self, process: asyncio.subprocess.Process, started: float) -> None:
        self._process, self._started = process, started
        self.pid = process.pid
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._heard = asyncio.Condition()

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._started

    async def listen(self) -> None:
        """Until it has nothing more to say."""
        assert self._process.stderr is not None  # noqa: S101  # we asked for a pipe
        async for line in self._process.stderr:
            self._take(line)
            async with self._heard:
                self._heard.notify_all()
        await self._process.wait()
        async with self._heard:
            self._heard.notify_all()

    async def until(self, what: str, seen: Callable[[], bool], *, within_s: float) -> None:
        """Until `seen` something in the events. Raises ChildFailed."""
        try:
            async with asyncio.timeout(within_s), self._heard:
                await self._heard.wait_for(lambda: seen() or self._process.returncode is not None)
        except TimeoutError:
            raise ChildFailed(f"It took longer than {within_s:g} s until {what}.") from None
        if not seen():
            code = self._process.returncode
            raise ChildFailed(f"Headrace left with code {code} before {what}.")

    async def stop(self) -> int:
        """SIGTERM, and what it leaves with; it is killed when it stays."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                return await self._process.wait()
        except TimeoutError:
            self.kill()
            return await self._process.wait()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    def _take(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        self.last_lines.append(text)
        try:
            event = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError:
            return
        self.events.setdefault(str(event.get("event")), []).append({**event, "at_s": self.age_s})


@asynccontextmanager
async def child(folder: Path, settings: Mapping[str, str]) -> AsyncGenerator[Child]:
    """`headrace up` in `folder`, with these settings and no others; it ends with the block."""
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headrace.launch", "up"),
        cwd=folder,  # a .env of the user's is not for this one
        env=environment_without_settings(**settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us: it gets a SIGTERM, and drains
    )
    running = Child(process, started)
    listening = asyncio.TaskGroup()
    await listening.__aenter__()  # an async generator may not yield inside `async with TaskGroup`
    listening.create_task(running.listen())
    try:
        yield running
    finally:
        if process.returncode is None:
            await running.stop()
        await listening.__aexit__(None, None, None)
