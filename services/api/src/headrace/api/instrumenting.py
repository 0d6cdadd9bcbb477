"""Requests, watched: one SERVER span each, and how long they took by route and status."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Final

from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.trace import Span
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.telemetry import metrics
from headrace.telemetry.exemplars import exemplar

# With their queries, and there a ticket may be, which opens a stream to whoever reads it in time.
_WITH_QUERY: Final = ("http.url", "url.full", "http.target", "url.query")
_NO_ROUTE: Final = "none"
_OPENED: Final = 101
_REFUSED: Final = 403  # what a handshake that was closed before it was accepted comes to


def with_spans(app: FastAPI) -> FastAPI:
    """FastAPI's own spans step aside for these, so there is one of a kind; none for each ASGI message."""
    FastAPIInstrumentor.instrument_app(
        app,
        server_request_hook=_forget_the_query,
        exclude_spans=["receive", "send"],
        excluded_urls="/livez,/readyz,/health,/metrics",  # asked every few seconds, by machines
    )
    return app


def watched(door: str) -> AbstractContextManager[object]:
    """Around a stream, for as long as it is open."""
    return metrics.WATCHERS.labels(door=door).track_inprogress()


def _forget_the_query(span: Span, _: MutableMapping[str, Any]) -> None:
    recorded = getattr(span, "attributes", None) or {}
    for name in _WITH_QUERY:
        if name in recorded:
            span.set_attribute(name, str(recorded[name]).partition("?")[0])
    if "url.query" in recorded:
        span.set_attribute("url.query", "")


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
    trace.get_current_span().set_attribute("http.route", route)
    metrics.HTTP.labels(method=method, route=route, status=kind).observe(took_s, exemplar())
