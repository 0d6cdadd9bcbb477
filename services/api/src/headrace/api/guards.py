"""Pure ASGI guards around the routes: no NUL gets in, and no failure gets out but as its door says it."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.api.doors import refusal
from headrace.api.problems import Problem, Refused, nul_found
from headrace.telemetry.logs import get_logger

_log = get_logger(__name__)
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_UPLOADS: Final = re.compile(r"/uploads(/.*)?")
_FOREIGN_NAME: Final = Problem(
    403,
    "foreign-host",
    "Called by a name that is not its own",
    "Without API_KEYS this server answers to localhost, 127.0.0.1 and [::1] alone.",
)


class RefuseNul:
    """Databases cannot keep NUL, and no address of ours has one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _has_nul(scope):
            await refusal(scope["path"], nul_found("The address"))(scope, receive, send)
            return
        await self._app(scope, receive, send)


class SaysTus:
    """Every answer about an upload says which protocol it is in, a refusal too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def said(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Tus-Resumable"] = "1.0.0"
            await send(message)

        about_one = scope["type"] == "http" and _UPLOADS.fullmatch(scope["path"])
        await self._app(scope, receive, said if about_one else send)


class OwnNameOnly:
    """For a server that asks nobody for a key because only this machine reaches it.

    A page from elsewhere could reach it too, by a name of its own that it lets point here (DNS
    rebinding); but then the request carries that name.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and not _called_by_its_own_name(scope):
            await refusal(scope["path"], Refused(_FOREIGN_NAME))(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _called_by_its_own_name(scope: Scope) -> bool:
    host = Headers(scope=scope).get("host", "")
    name = host.removesuffix("]") if host.endswith("]") else host.rpartition(":")[0] or host
    return name.strip("[]").lower() in LOOPBACK_NAMES


class Failures:
    """The last catch of a request: logged once, answered as its door answers where that is still possible."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # a request's edge is where it is supervised
            _log.exception("http.failed", method=scope["method"], path=scope["path"])
            if started:
                raise
            await refusal(scope["path"], error)(scope, receive, send)


def _has_nul(scope: Scope) -> bool:
    return (
        "\0" in scope["path"] or b"%00" in scope["query_string"] or b"\0" in scope["query_string"]
    )
