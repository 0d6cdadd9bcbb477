"""What Prometheus scrapes: as text, or as OpenMetrics with exemplars; and a small door for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from headrace.core.errors import Misconfigured

_HEAD_BYTES: Final = 8192
_WITHIN_S: Final = 5.0
_AT_ONCE: Final = 16  # connections that are answered; the others wait in the system's backlog


def render(accept: str) -> tuple[bytes, str]:
    """The metrics of this process and their content type, in the best form that was asked for."""
    encode, content_type = choose_encoder(accept)
    return encode(REGISTRY), content_type


class MetricsDoor:
    """A role: `/metrics` and `/livez` for processes that have no other door. Anything else is a 404."""

    name = "metrics"

    def __init__(self, host: str, port: int) -> None:
        self._host, self.port = host, port
        self.bound = asyncio.Event()
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def serve(self, stop: asyncio.Event) -> None:
        """Raises Misconfigured when the port cannot be had."""
        try:
            server = await asyncio.start_server(
                self._answer, self._host, self.port, limit=_HEAD_BYTES
            )
        except OSError as error:
            raise Misconfigured(
                f"METRICS_PORT={self.port} on {self._host} cannot be had: {error.strerror}.",
                "Choose another one, or leave it empty.",
            ) from error
        self.port = server.sockets[0].getsockname()[1]
        self.bound.set()
        async with server:
            await stop.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            async with self._room, asyncio.timeout(_WITHIN_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_reply(head.decode("latin-1")))
                await writer.drain()
        with suppress(OSError):
            writer.close()


def _reply(head: str) -> bytes:
    line, _, rest = head.partition("\r\n")
    method, path, *_ = [*line.split(" "), "", ""]
    match method, path.partition("?")[0]:
        case "GET", "/metrics":
            return _with_body("200 OK", *render(_header(rest, "accept")))
        case "GET", "/livez":
            return _with_body("200 OK", b"ok\n", "text/plain")
        case _:
            return _with_body(
                "404 Not Found", b"/metrics and /livez are all there is\n", "text/plain"
            )


def _header(head: str, name: str) -> str:
    for line in head.split("\r\n"):
        key, _, value = line.partition(":")
        if key.strip().lower() == name:
            return value.strip()
    return ""


def _with_body(status: str, body: bytes, content_type: str) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
