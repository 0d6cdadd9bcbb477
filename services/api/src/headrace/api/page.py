"""The page: files that `make web` built, under every address that no route of the api has."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

_INDEX: Final = "index.html"
_READING: Final = frozenset({"GET", "HEAD"})
_DEEP_LINK: Final = re.compile(
    r"/((jobs|runs|batches|models|webhooks)(/[^/]*)?)?|/webhooks/deliveries/[^/]+"
)
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
        "connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Vary": "Accept",
}
_NOT_BUILT: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Headrace</title>
<h1>Headrace is running</h1>
<p>Its page has not been built yet: run <code>make web</code> and reload.</p>
<p>The API works: see <a href="/docs">its description</a> or <a href="/health">its health</a>.</p>
</html>
"""


class Page:
    """Files of one folder. `None`, or a folder that is not there: a line on how to build it."""

    def __init__(
        self, folder: Path | None, *, but_for: Callable[[str], bool] = lambda _: False
    ) -> None:
        """`but_for`: addresses that no page has, whoever navigates there."""
        self._but_for = but_for
        self._folder = None if folder is None else folder.resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI, for addresses that are no route's: the file, or the index for whoever navigates."""
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        response = await self._at(scope)
        await response(scope, receive, send)

    async def _at(self, scope: Scope) -> Response:
        if scope["method"] not in _READING or self._but_for(scope["path"]):
            raise HTTPException(404)
        found = await anyio.to_thread.run_sync(self._find, scope["path"])
        if found is not None:
            return self._file(found)
        if not wants_page(scope):
            raise HTTPException(404)
        return await self.index()

    async def index(self) -> Response:
        found = await anyio.to_thread.run_sync(self._find, f"/{_INDEX}")
        return HTMLResponse(_NOT_BUILT, headers=_HEADERS) if found is None else self._file(found)

    def _find(self, path: str) -> Path | None:
        if self._folder is None or path == "/":
            return None
        wanted = (self._folder / path.lstrip("/")).resolve()
        return wanted if wanted.is_relative_to(self._folder) and wanted.is_file() else None

    def _file(self, file: Path) -> Response:
        media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        # The build names its assets by their content; only the index has a name that stays.
        cache = "no-cache" if file.name == _INDEX else "public, max-age=31536000, immutable"
        headers = {**_HEADERS, "Cache-Control": cache}
        return FileResponse(file, headers=headers, media_type=media_type)


class NavigationFirst:
    """`/jobs/ID` is a record for programs and a view for people: a browser that navigates gets the page."""

    def __init__(self, app: ASGIApp, *, page: Page) -> None:
        self._app, self._page = app, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _DEEP_LINK.fullmatch(scope["path"]) and wants_page(scope):
            response = await self._page.index()
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


def wants_page(scope: Scope) -> bool:
    accepts = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return scope["method"] in _READING and b"text/html" in accepts
