"""Pure ASGI guards around the routes: no NUL gets in, and no failure gets out as anything but a problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.api.problems import INTERNAL, Problem, malformed
from headrace.telemetry.logs import get_logger

Said: TypeAlias = Callable[[str, Problem], Response]
"""A problem in the words of the door that an address belongs to."""
_log = get_logger(__name__)
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_FOREIGN_NAME: Final = Problem(
    403,
    "foreign-host",
    "Called by a name that is not its own",
    "Without API_KEYS this server answers to localhost, 127.0.0.1 and [::1] alone.",
)


def _as_usual(_: str, problem: Problem) -> Response:
    return problem.response()


class RefuseNul:
    """Databases cannot keep NUL, and no address of ours has one."""

    def __init__(self, app: ASGIApp, *, said: Said = _as_usual) -> None:
        self._app, self._said = app, said

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _has_nul(scope):
            problem = malformed("The address has a NUL character.").problem
            await self._said(scope["path"], problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class OwnNameOnly:
    """For a server that asks nobody for a key because only this machine reaches it.

    A page from elsewhere could reach it too, by a name of its own that it lets point here (DNS
    rebinding); but then the request carries that name.
    """

    def __init__(self, app: ASGIApp, *, said: Said = _as_usual) -> None:
        self._app, self._said = app, said

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and not _called_by_its_own_name(scope):
            await self._said(scope["path"], _FOREIGN_NAME)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _called_by_its_own_name(scope: Scope) -> bool:
    host = Headers(scope=scope).get("host", "")
    name = host.removesuffix("]") if host.endswith("]") else host.rpartition(":")[0] or host
    return name.strip("[]").lower() in LOOPBACK_NAMES


class Failures:
    """The last catch of a request: logged once, answered as a problem where an answer is still possible."""

    def __init__(self, app: ASGIApp, *, said: Said = _as_usual) -> None:
        self._app, self._said = app, said

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
        except Exception:  # a request's edge is where it is supervised
            _log.exception("http.failed", method=scope["method"], path=scope["path"])
            if started:
                raise
            await self._said(scope["path"], INTERNAL)(scope, receive, send)


def _has_nul(scope: Scope) -> bool:
    return (
        "\0" in scope["path"] or b"%00" in scope["query_string"] or b"\0" in scope["query_string"]
    )
