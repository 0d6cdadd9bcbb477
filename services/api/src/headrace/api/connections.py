"""The connections of our server: uvicorn's, with limits on a request's head and a `Direct` for its answer.

Without the limits uvicorn waits for a head for ever, and reads any length of it.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from headrace.api.direct import EXTENSION, Left


def within(head_s: float, head_bytes: int) -> type[HttpToolsProtocol]:
    """The protocol for requests whose line and headers are there in time, and are no longer than that."""

    class Bounded(_Bounded):
        pass

    Bounded.head_s, Bounded.head_bytes = head_s, head_bytes
    return Bounded


class _Bounded(HttpToolsProtocol):
    head_s: float
    head_bytes: int
    _timer: asyncio.TimerHandle | None = None
    _size = 0  # of a head that is not whole yet
    left: Left | None = None  # one at a time, as answers are

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._expect_head()

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    @override
    def on_headers_complete(self) -> None:
        self._stop_timer()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # else it becomes a WebSocket
            direct = _Body(self, self.cycle)
            self.cycle.scope["extensions"] = {EXTENSION: direct}  # type: ignore[dict-item]  # no dictionary

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._size += len(data)
        if self._timer is not None and self._size > self.head_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)
        if self.left is not None:
            self.left()

    def _expect_head(self) -> None:
        self._stop_timer()
        self._size = 0
        self._timer = self.loop.call_later(self.head_s, self._refuse, HTTPStatus.REQUEST_TIMEOUT)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: HTTPStatus) -> None:
        self._stop_timer()
        line = f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        self.transport.write(f"{line}connection: close\r\ncontent-length: 0\r\n\r\n".encode())
        self.transport.close()


class _Body:
    """A `DirectBody`: pieces of one answer's body, in the chunks that uvicorn has begun."""

    __slots__ = ("_cycle", "_protocol")

    def __init__(self, protocol: _Bounded, cycle: RequestResponseCycle) -> None:
        self._protocol, self._cycle = protocol, cycle

    def write(self, said: bytes) -> bool:
        cycle = self._cycle
        if (
            not cycle.chunked_encoding  # also before its head, and for HEAD
            or cycle.response_complete
            or cycle.flow.write_paused
            or cycle.transport.is_closing()
        ):
            return False
        if said:  # a chunk of nothing would be the last
            cycle.transport.write(b"%x\r\n%b\r\n" % (len(said), said))
        return True

    def when_left(self, left: Left | None) -> None:
        self._protocol.left = left
        if left is not None and self._cycle.transport.is_closing():
            left()


class Sockets(WebSocketsSansIOProtocol):
    """A `Direct`. Frames without compression leave no trace in the state that uvicorn keeps."""

    @override
    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # else it was refused
            self.scope["extensions"][EXTENSION] = self  # type: ignore[assignment]  # no dictionary

    def write(self, said: bytes) -> bool:
        if (
            not self.handshake_complete
            or self.close_sent
            or not self.writable.is_set()
            or self.transport.is_closing()
        ):
            return False
        self.transport.write(said)
        return True
