"""What `headrace up` says once it can be reached: where, and what to try first."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Protocol, TypeGuard

from headrace.launch.settings import EXAMPLE
from headrace.telemetry.logs import Format, get_logger
from headrace.wiring.roles import Role

_log = get_logger("launch")


class Listening(Protocol):
    """A role that others connect to."""

    host: str
    port: int
    bound: asyncio.Event


class Greeting:
    """A role, so that it is started and stopped with those it speaks for."""

    name = "greeting"

    def __init__(self, door: Listening, *, format: Format) -> None:  # noqa: A002  # the setting's name
        self._door, self._format = door, format

    async def serve(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            told = group.create_task(self._tell())
            await stop.wait()
            told.cancel()

    async def _tell(self) -> None:
        await self._door.bound.wait()
        url = address(self._door.host, self._door.port)
        if self._format == "json":
            _log.info("api.listening", url=url)
        else:
            where = "" if url == EXAMPLE else f"export HEADRACE_URL={url}\n    "
            sys.stderr.write(_PLAINLY.format(url=url, where=where))


_PLAINLY = """
  Headrace listens on {url}

    {url}/             the page
    {where}headrace submit text "Why is the sky blue?"
    headrace submit image "a red rocket" --out rocket.png

  Ctrl-C stops it; running jobs are finished or given back.

"""


def address(host: str, port: int) -> str:
    """As a browser on this machine writes it."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104  # compared, not bound
    return f"http://{shown}:{port}"


def with_greeting(roles: Sequence[Role], format: Format) -> list[Role]:  # noqa: A002  # as above
    return [*roles, *(Greeting(role, format=format) for role in roles if _listens(role))]


def _listens(role: object) -> TypeGuard[Listening]:
    return isinstance(getattr(role, "bound", None), asyncio.Event)
