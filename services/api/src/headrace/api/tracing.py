"""The trace a request belongs to: taken from its `traceparent`, or begun here; told in `X-Trace-Id`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_received: ContextVar[str | None] = ContextVar("received_traceparent", default=None)


class TraceContext:
    """Pure ASGI. `current` is telemetry's view, if any: it knows of spans begun since."""

    def __init__(self, app: ASGIApp, *, current: Callable[[], str | None]) -> None:
        self._app, self._current = app, current

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Trace-Id"] = trace_id(self._parent())
            await send(message)

        token = _received.set(_accepted(Headers(scope=scope).get("traceparent")))
        try:
            await self._app(scope, receive, marked)
        finally:
            _received.reset(token)

    def _parent(self) -> str:
        return self._current() or received_traceparent()


def received_traceparent() -> str:
    return _received.get() or _begun()


def trace_id(traceparent: str) -> str:
    return traceparent.split("-")[1]


def _accepted(header: str | None) -> str:
    return header if header is not None and _TRACEPARENT.fullmatch(header) else _begun()


def _begun() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
