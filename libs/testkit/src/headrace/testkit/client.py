"""A user of the system, as small as a test needs: submits, watches, asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import httpx
import msgspec
from httpx_sse import aconnect_sse
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from headrace.contracts.frames import TERMINAL_TYPES, Frame, Token, decode_frame, frame_type
from headrace.contracts.ids import Position

PATIENCE_S: Final = 60.0
Door: TypeAlias = Literal["events", "ws"]
_CUT_OFF: Final = (httpx.TransportError, httpx.HTTPStatusError, OSError, WebSocketException)


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame, where it stood."""

    position: Position
    type: str
    frame: Frame


class _Spliced(msgspec.Struct):
    """A message of a socket."""

    id: str
    frame: msgspec.Raw


class User:
    """Watches by Server-Sent Events or by WebSocket; hangs up after a frame whenever it `leaves`."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        door: Door = "events",
        leaves: Callable[[], bool] = lambda: False,
    ) -> None:
        self.http = http
        self.connections = 0  # that were opened, to watch
        self._connect = self._by_events if door == "events" else self._by_socket
        self._leaves = leaves

    async def submit(self, kind: str = "echo", *, key: str | None = None, **body: Any) -> Any:
        """Submit a job; `body` holds `input` and whatever else. Returns the accepted job."""
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = await self.http.post("/jobs", json={"kind": kind, **body}, headers=headers)
        assert answer.status_code == 202, answer.text
        return answer.json()

    async def echo(self, text: str = "one two three", **given: Any) -> Any:
        return await self.submit("echo", input={"text": text, **given})

    async def get(self, job: Any, part: str = "") -> Any:
        answer = await self.http.get(f"/jobs/{job['id']}{part}")
        assert answer.is_success, answer.text
        return answer.json()

    async def cancel(self, job: Any) -> Any:
        answer = await self.http.post(f"/jobs/{job['id']}/cancel")
        assert answer.is_success, answer.text
        return answer.json()

    async def frames(
        self, job: Any, *, after: str | None = None, within: float = PATIENCE_S
    ) -> AsyncGenerator[Seen]:
        """Every frame to the terminal one, over as many connections as it takes."""
        cursor, seen_last = after, False
        async with asyncio.timeout(within):
            while not seen_last:
                try:
                    async with aclosing(self._connect(job, cursor)) as connection:
                        async for seen in connection:
                            cursor, seen_last = str(seen.position), seen.type in TERMINAL_TYPES
                            yield seen
                            if self._leaves():
                                break
                except _CUT_OFF:
                    await asyncio.sleep(0.1)

    async def watch(self, job: Any, *, after: str | None = None) -> list[Seen]:
        async with aclosing(self.frames(job, after=after)) as frames:
            return [seen async for seen in frames]

    async def until(self, job: Any, kind: str) -> Seen:
        """The first frame of a type."""
        async with aclosing(self.frames(job)) as frames:
            async for seen in frames:
                if seen.type == kind:
                    return seen
        raise AssertionError(f"the stream ended without a frame of type {kind}")

    async def _by_events(self, job: Any, after: str | None) -> AsyncGenerator[Seen]:
        headers = {} if after is None else {"Last-Event-ID": after}
        path = f"/jobs/{job['id']}/events"
        async with aconnect_sse(self.http, "GET", path, headers=headers) as source:
            source.response.raise_for_status()
            self.connections += 1
            async for event in source.aiter_sse():
                if event.id and event.data:
                    position = Position.parse(event.id)
                    yield Seen(position, event.event, decode_frame(event.data.encode()))

    async def _by_socket(self, job: Any, after: str | None) -> AsyncGenerator[Seen]:
        url = self.http.base_url.copy_with(scheme="ws").join(f"/jobs/{job['id']}/ws")
        query = {} if after is None else {"after": after}
        async with connect(str(url.copy_merge_params(query)), proxy=None) as socket:
            self.connections += 1
            try:
                async for message in socket:
                    said = msgspec.json.decode(message, type=_Spliced)
                    frame = decode_frame(said.frame)
                    yield Seen(Position.parse(said.id), frame_type(frame), frame)
            finally:
                # A goodbye would be answered only after all that was sent and is not wanted any more.
                socket.transport.abort()


def text_of(seen: list[Seen]) -> str:
    """What the tokens of the last attempt say."""
    last = max(each.position.epoch for each in seen if isinstance(each.frame, Token))
    return "".join(
        each.frame.text
        for each in seen
        if isinstance(each.frame, Token) and each.position.epoch == last
    )
