"""The frames of many jobs over one WebSocket that survives lost connections."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from headrace.contracts.frames import TERMINAL_TYPES, Frame, frame_type
from headrace.contracts.ids import START, Position
from headrace.launch.client import CONNECT_WITHIN_S, Pauses
from headrace.launch.errors import Refused

MOST: Final = 60  # of jobs on one socket: the api takes 64
_LARGEST_MESSAGE: Final = 16 << 20  # a result travels in its terminal frame
_UNAUTHORIZED: Final = 401


class _Heard(msgspec.Struct, frozen=True):
    """A frame of a job, or a complaint."""

    job: str | None = None
    id: str | None = None
    frame: Frame | None = None
    error: dict[str, Any] | None = None


class Followed:
    """Say with `want` which jobs; `see` is told each of their frames once, in order."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        see: Callable[[str, Position, Frame], None],
        on_gap: Callable[[str], None],
    ) -> None:
        self._url = url.replace("http", "ws", 1) + "/ws"
        self._key, self._see, self._on_gap = key, see, on_gap
        self._cursors: dict[str, Position] = {}
        self._ended: set[str] = set()
        self._changed = asyncio.Event()

    def want(self, jobs: Iterable[str]) -> None:
        """From their beginning, or from where each was; the others are left."""
        wanted = [job for job in jobs if job not in self._ended][:MOST]
        self._cursors = {job: self._cursors.get(job, START) for job in wanted}
        self._changed.set()

    async def run(self) -> None:
        """Until it is cancelled. Raises Refused where the key is not taken."""
        pauses = Pauses(patience_s=math.inf)
        while True:
            why = "the server closed it"
            try:
                await self._converse(pauses)
            except* (OSError, WebSocketException) as lost:
                why = _plainly(lost)
            self._on_gap(why)
            await asyncio.sleep(pauses.next() or 0)

    async def _converse(self, pauses: Pauses) -> None:
        async with connect(
            self._url,
            open_timeout=CONNECT_WITHIN_S,
            max_size=_LARGEST_MESSAGE,
            proxy=None,
            compression=None,
        ) as socket:
            if self._key:
                await _say(socket, authorization=self._key)
            async with asyncio.TaskGroup() as group:
                subscribing = group.create_task(self._subscribe(socket))
                async for message in socket:
                    pauses.start_over()
                    self._hear(message)
                subscribing.cancel()

    async def _subscribe(self, socket: ClientConnection) -> None:
        """What is wanted, as it changes."""
        asked: set[str] = set()
        while True:
            self._changed.clear()
            for job in asked - self._cursors.keys() - self._ended:
                await _say(socket, unsubscribe=job)
            for job in self._cursors.keys() - asked:
                cursor = self._cursors[job]
                after = {} if cursor == START else {"after": str(cursor)}
                await _say(socket, subscribe=job, **after)
            asked = set(self._cursors)
            await self._changed.wait()

    def _hear(self, message: str | bytes) -> None:
        try:
            heard = msgspec.json.decode(message, type=_Heard)
        except msgspec.ValidationError:
            return  # a newer server says more than this one knows
        if heard.error is not None:
            if heard.error.get("status") == _UNAUTHORIZED:
                raise Refused(_UNAUTHORIZED, heard.error)
            return  # about one job, which is asked for again when it is wanted again
        if heard.frame is not None and heard.job in self._cursors and heard.id is not None:
            self._take(heard.job, Position.parse(heard.id), heard.frame)

    def _take(self, job: str, position: Position, frame: Frame) -> None:
        kind = frame_type(frame)
        if kind != "reset" and position <= self._cursors[job]:
            return
        self._cursors[job] = position
        if kind in TERMINAL_TYPES:
            self._ended.add(job)
            del self._cursors[job]
        self._see(job, position, frame)


async def _say(socket: ClientConnection, **what: str) -> None:
    await socket.send(msgspec.json.encode(what).decode())


def _plainly(lost: BaseExceptionGroup[Exception]) -> str:
    first = lost.exceptions[0]
    return str(first) or type(first).__name__
