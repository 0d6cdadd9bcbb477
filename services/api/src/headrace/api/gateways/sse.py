"""Server-Sent Events from the frames of one job.

There is no queue here. What comes live is written by the hand of the channel's reader while the client
has room for it; else `watch` is asked for more when the client has taken what it got, so a slow
client is served from the log at its own pace and delays nobody. A stream is one task, which sleeps
while it is told of nothing but frames: thousands of them share a process.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from headrace.api.deps import Limits
from headrace.api.direct import DirectBody, direct_body
from headrace.api.gateways.once import Once
from headrace.api.gateways.patience import Patience
from headrace.api.gateways.race import gone
from headrace.api.gateways.watching import Batches, Watching
from headrace.api.stopping import Stopping
from headrace.contracts.frames import Entry

_HEADERS: Final = {
    "Cache-Control": "no-store, no-transform",  # no-transform: a proxy must not gather and compress
    "X-Accel-Buffering": "no",
}
# Comments without an empty line after them: some clients take any block for a message.
# The first word sends the headers off before there is a frame.
_HELLO: Final = b": connected\nretry: %d\n"
_PING: Final = b": ping\n"
_EVENTS_A_WRITE: Final = 64
_HANDED_OVER: Final = "headrace.event_streams"


def event(entry: Entry) -> bytes:
    """One event: position, type and JSON. JSON has line ends only as white space."""
    at, data = entry.position, entry.data
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    return b"id: %d-%d\nevent: %b\ndata: %b\n\n" % (at.epoch, at.seq, entry.type.encode(), data)


def events(batch: Sequence[Entry]) -> bytes:
    return b"".join(map(event, batch))


_events_for_all: Final = Once(events)


def farewell(retry_ms: int) -> bytes:
    return b": this server stops; connect again\nretry: %d\n\n" % retry_ms


def _hello() -> bytes:
    return _HELLO % random.randint(2_000, 5_000)  # jitter


def _goodbye() -> bytes:
    # Everybody is told to come back at the same moment: spread it.
    return farewell(random.randint(1_000, 10_000))


@dataclass(frozen=True, slots=True)
class Wording:
    """How a door writes: its first word, events, and its last word when this server stops."""

    hello: Callable[[], bytes]
    events: Callable[[Sequence[Entry]], bytes]
    live: Callable[[Sequence[Entry]], bytes]  # the same, of what all who watch are told at once
    farewell: Callable[[], bytes]
    ping: bytes = _PING  # in silence, so that the connection stays open


OURS: Final = Wording(_hello, events, _events_for_all, _goodbye)


class Stream(Protocol):
    async def run(self, receive: Receive, send: Send, direct: DirectBody | None = None) -> None:
        """What comes after the head of an answer, to its end or until the client leaves."""


class OutermostStreams:
    """Runs event streams after the layers that let them in have returned.

    A stream lasts for minutes: under routing and middleware it would keep a frame of each of them.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        watched: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._app, self._watched = app, watched

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for stream in await self._begun(scope, receive, send):
            with self._watched():
                await stream.run(receive, send, direct_body(scope))

    async def _begun(self, scope: Scope, receive: Receive, send: Send) -> list[Stream]:
        streams: list[Stream] = []
        # A scope of their own, which goes with them: routing leaves much in it.
        await self._app({**scope, _HANDED_OVER: streams}, receive, send)
        return streams


class EventStreamResponse(Response):
    """The head of the answer; what follows it is left to `OutermostStreams`."""

    def __init__(
        self,
        stream: Stream,
        headers: Mapping[str, str] | None = None,
        media_type: str = "text/event-stream",
    ) -> None:
        self.status_code, self.media_type = 200, media_type
        self.background = None
        self.init_headers({**_HEADERS, **(headers or {})})
        self._stream = stream

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        handed_over: list[Stream] | None = scope.get(_HANDED_OVER)
        if handed_over is None:  # an application without the outermost layer
            await self._stream.run(receive, send)
        else:
            handed_over.append(self._stream)


class EventStream:
    """A client on one job. Batches that are empty say that there is nothing to say: time for a sign of life."""

    __slots__ = (
        *("_limits", "_stopping", "_watching", "_wording"),
        *("_direct", "_gone", "_patience", "_send", "_spoke"),
    )

    _patience: Patience
    _send: Send

    def __init__(
        self, watching: Watching, *, stopping: Stopping, limits: Limits, wording: Wording = OURS
    ) -> None:
        self._watching, self._stopping, self._limits = watching, stopping, limits
        self._wording = wording
        self._direct: DirectBody | None = None
        self._gone = False  # the client
        self._spoke = False  # at once, since the last look

    async def run(self, receive: Receive, send: Send, direct: DirectBody | None = None) -> None:
        """`direct` leads to where `send` does: no layer in between has a word in it."""
        self._send, self._direct = send, direct
        try:
            await (self._beside(receive) if direct is None else self._pump())
        except* TimeoutError:
            pass  # it took nothing for `send_s`: the connection is closed under it

    async def _beside(self, receive: Receive) -> None:
        """A task more to hear that the client has left."""
        async with asyncio.TaskGroup() as group:
            pump = group.create_task(self._pump())
            await gone(receive)  # also when the pump has sent the end
            pump.cancel()

    async def _pump(self) -> None:
        self._patience = Patience(self._limits.send_s)
        if self._direct is not None:
            self._direct.when_left(self._leave)
        try:
            await self._tell_until_stopped()
        except asyncio.CancelledError:
            if self._patience.lost:
                raise TimeoutError from None
            if not self._gone:
                raise
        finally:
            self._patience.close()
            if self._direct is not None:
                self._direct.when_left(None)

    def _leave(self) -> None:
        self._gone = True
        self._patience.end()

    async def _tell_until_stopped(self) -> None:
        try:
            # From in here: a task that is cancelled before its first step would say no goodbye.
            with self._stopping.calls(self._patience.end):
                await self._tell()
                await self._write_last(b"")
        except asyncio.CancelledError:
            if self._gone or self._patience.lost or not self._stopping.is_set():
                raise
            await self._write_last(self._wording.farewell())

    async def _tell(self) -> None:
        await self._write(self._wording.hello())
        clock = asyncio.get_running_loop().time
        said_at = clock()
        async with aclosing(self._begin()) as batches:
            async for batch in batches:
                if batch:
                    await self._tell_all(batch)
                elif not self._spoke:
                    if clock() - said_at < self._limits.ping_s:
                        continue
                    await self._write(self._wording.ping)
                self._spoke, said_at = False, clock()

    def _begin(self) -> Batches:
        watching = self._watching
        del self._watching  # with the job as it was then: its input may be large
        return watching(self._tell_at_once)

    def _tell_at_once(self, batch: Sequence[Entry]) -> bool:
        if self._direct is None or len(batch) > _EVENTS_A_WRITE:
            return False
        self._spoke = self._direct.write(self._wording.live(batch))
        return self._spoke

    async def _tell_all(self, batch: Sequence[Entry]) -> None:
        for start in range(0, len(batch), _EVENTS_A_WRITE):
            if start > 0:
                # A send that does not wait, as uvicorn's after a disconnect, must still let others run.
                await asyncio.sleep(0)
            await self._write(self._wording.events(batch[start : start + _EVENTS_A_WRITE]))

    async def _write(self, body: bytes) -> None:
        if self._direct is None or not self._direct.write(body):
            with self._patience:
                await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def _write_last(self, body: bytes) -> None:
        with self._patience:
            await self._send({"type": "http.response.body", "body": body, "more_body": False})
