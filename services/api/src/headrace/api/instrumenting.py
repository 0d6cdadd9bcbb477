"""Requests, watched: one SERVER span each, and how long they took by route and status."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.telemetry import metrics
from headrace.telemetry.exemplars import exemplar
from headrace.telemetry.tracing import span

_UNSEEN: Final = frozenset(
    {"/livez", "/readyz", "/health", "/metrics"}
)  # asked every few seconds, by machines
_NO_ROUTE: Final = "none"
_OPENED: Final = 101
_REFUSED: Final = 403  # what a handshake that was closed before it was accepted comes to
_OUR_FAULT: Final = 500


def watched(door: str) -> AbstractContextManager[object]:
    """Around a stream, for as long as it is open."""
    return metrics.WATCHERS.labels(door=door).track_inprogress()


class Spans:
    """Pure ASGI: one SERVER span for a request, in the trace that it brings. Its route is known later.

    By hand, and not by OpenTelemetry's instrumentation of FastAPI, which took a third of what it costs
    to open a stream.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or scope["path"] in _UNSEEN:
            await self._app(scope, receive, send)
            return
        headers, method = Headers(scope=scope), _method(scope)
        seen = {
            "http.request.method": method,
            "url.scheme": scope["scheme"],
            # Never the query: a ticket may be there, which opens a stream to who reads it in time.
            "url.path": scope["path"],
            "server.address": headers.get("host", ""),
            "user_agent.original": headers.get("user-agent", ""),
            "client.address": (scope.get("client") or ("",))[0],
        }
        parent = headers.get("traceparent")
        with span(method, parent=parent, kind=SpanKind.SERVER, attributes=seen):
            await self._app(scope, receive, send)


class Watched:
    """Pure ASGI, within the span. A stream counts until its head: it lasts as long as somebody watches."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        seen = _Seen(scope)

        async def noted(message: Message) -> None:
            seen.note(message)
            await send(message)

        with metrics.HTTP_RUNNING.track_inprogress():
            try:
                await self._app(scope, receive, noted)
            finally:
                seen.tell()


class _Seen:
    """One request: how it was answered, told once."""

    def __init__(self, scope: Scope) -> None:
        self._scope, self._began = scope, time.monotonic()
        self._status = 500
        self._told = False

    def note(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start":
                self._status = message["status"]
                self.tell()
            case "websocket.accept":
                self._status = _OPENED
            case "websocket.http.response.start":
                self._status = message["status"]
            case "websocket.close" if self._status != _OPENED:  # it was never accepted
                self._status = _REFUSED
            case _:
                pass

    def tell(self) -> None:
        if not self._told:
            self._told = True
            _observe(self._scope, self._status, time.monotonic() - self._began)


def _observe(scope: Scope, status: int, took_s: float) -> None:
    route = getattr(scope.get("route"), "path", _NO_ROUTE)
    method = "WEBSOCKET" if scope["type"] == "websocket" else scope["method"]
    kind = f"{status // 100}xx"
    current = trace.get_current_span()
    current.update_name(f"{_method(scope)} {route}")
    current.set_attribute("http.route", route)
    current.set_attribute("http.response.status_code", status)
    if status >= _OUR_FAULT:
        current.set_status(StatusCode.ERROR)
    metrics.HTTP.labels(method=method, route=route, status=kind).observe(took_s, exemplar())


def _method(scope: Scope) -> str:
    return str(scope.get("method", "GET"))  # a handshake is a GET
