"""Server-Sent Events from the frames of one job.

There is no queue here: `watch` is asked for more when the client has taken what it got, so a slow
client is served from the log at its own pace and delays nobody. A stream is two tasks and no timer
that runs for each frame: thousands of them share a process.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from headrace.api.deps import Limits
from headrace.api.gateways.patience import Patience
from headrace.api.stopping import Stopping
from headrace.contracts.frames import Entry

_HEADERS: Final = {
    "Cache-Control": "no-store, no-transform",  # no-transform: a proxy must not gather and compress
    "X-Accel-Buffering": "no",
}
# Comments without an empty line after them: some clients take any block for a message.
_HELLO: Final = b": connected\n"  # sends the headers off before there is a frame
_PING: Final = b": ping\n"
_EVENTS_A_WRITE: Final = 64
_HANDED_OVER: Final = "headrace.event_streams"


def event(entry: Entry | bytes) -> bytes:
    """One event: position, type and JSON, unless it is written already. JSON has line ends only as white space."""
    if isinstance(entry, bytes):
        return entry
    at, data = entry.position, entry.data
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    return b"id: %d-%d\nevent: %b\ndata: %b\n\n" % (at.epoch, at.seq, entry.type.encode(), data)


def farewell(retry_ms: int) -> bytes:
    return b": this server stops; connect again\nretry: %d\n\n" % retry_ms


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
        before = set(scope)
        streams: list[EventStream] = []
        scope[_HANDED_OVER] = streams
        await self._app(scope, receive, send)
        for stream in streams:
            for added in scope.keys() - before:  # what routing has left there
                del scope[added]
            with self._watched():
                await stream.run(receive, send)


class EventStreamResponse(Response):
    """The head of the answer; what follows it is left to `OutermostStreams`."""

    def __init__(self, stream: EventStream) -> None:
        self.status_code, self.media_type = 200, "text/event-stream"
        self.background = None
        self.init_headers(_HEADERS)
        self._stream = stream

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        handed_over: list[EventStream] | None = scope.get(_HANDED_OVER)
        if handed_over is None:  # an application without the outermost layer
            await self._stream.run(receive, send)
        else:
            handed_over.append(self._stream)


class EventStream:
    """`batches` that are empty say that there is nothing to say: time for a sign of life."""

    __slots__ = ("_batches", "_limits", "_stopping")

    def __init__(
        self,
        batches: AsyncGenerator[Sequence[Entry | bytes]],
        *,
        stopping: Stopping,
        limits: Limits,
    ) -> None:
        self._batches, self._stopping, self._limits = batches, stopping, limits

    async def run(self, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                pump = group.create_task(self._pump(send))
                await _gone(receive)  # also when the pump has sent the end
                pump.cancel()
        except* TimeoutError:
            pass  # it took nothing for `send_s`: the connection is closed under it

    async def _pump(self, send: Send) -> None:
        patience = Patience(self._limits.send_s)
        try:
            # From in here: a task that is cancelled before its first step would say no goodbye.
            with self._stopping.calls(patience.end):
                await self._tell(send, patience)
                await _write(send, patience, b"", more=False)
        except asyncio.CancelledError:
            if patience.lost:
                raise TimeoutError from None
            if not self._stopping.is_set():
                raise
            # Everybody is told to come back at the same moment: spread it.
            await _write(send, patience, farewell(random.randint(1_000, 10_000)), more=False)
        finally:
            patience.close()

    async def _tell(self, send: Send, patience: Patience) -> None:
        await _write(send, patience, _HELLO)
        retry = b"retry: %d\n" % random.randint(2_000, 5_000)  # jitter
        clock = asyncio.get_running_loop().time
        said_at = clock()
        async with aclosing(self._batches) as batches:
            async for batch in batches:
                if batch:
                    await _tell_all(send, patience, batch, retry)
                    retry = b""
                elif clock() - said_at < self._limits.ping_s:
                    continue
                else:
                    await _write(send, patience, _PING)
                said_at = clock()


async def _tell_all(
    send: Send, patience: Patience, batch: Sequence[Entry | bytes], retry: bytes
) -> None:
    for start in range(0, len(batch), _EVENTS_A_WRITE):
        if start > 0:
            # A send that does not wait, as uvicorn's after a disconnect, must still let others run.
            await asyncio.sleep(0)
            retry = b""
        events = b"".join(map(event, batch[start : start + _EVENTS_A_WRITE]))
        await _write(send, patience, retry + events)


async def _write(send: Send, patience: Patience, body: bytes, *, more: bool = True) -> None:
    with patience:
        await send({"type": "http.response.body", "body": body, "more_body": more})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
