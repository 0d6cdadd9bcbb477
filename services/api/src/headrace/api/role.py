"""The api as a role: uvicorn inside a process that owns the signals."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from typing_extensions import override

from headrace.api.connections import Sockets, within
from headrace.api.deps import ApiDeps
from headrace.api.gateways.sse import OutermostStreams
from headrace.core.errors import Misconfigured


class Api:
    """Serves until `stop`. `bound` is set once it can be connected to, at `host` and `port`."""

    name = "api"

    def __init__(
        self,
        app: FastAPI,
        *,
        host: str,
        port: int,
        grace_s: int = 25,
        backlog: int = 2048,
        trusted: Sequence[str] = (),  # proxies that say for whom they ask
    ) -> None:
        self._app, self._grace_s, self._backlog = app, grace_s, backlog
        self._trusted = list(trusted)
        self.host, self.port = host, port
        self.bound = asyncio.Event()

    async def serve(self, stop: asyncio.Event) -> None:
        """Raises Misconfigured when the port cannot be had."""
        listener = listen(self.host, self.port, backlog=self._backlog)
        self.port = listener.getsockname()[1]
        server = _Server(self._config())
        try:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(server.serve(sockets=[listener]))
                telling = group.create_task(self._deps.presence.run())
                noting = group.create_task(self._deps.auth.run())
                steering = group.create_task(self._deps.steering.run())
                speaking = group.create_task(self._speak())
                self.bound.set()
                await _first(serving, stop)
                telling.cancel()  # what was told lasts until its watchers are elsewhere
                noting.cancel()
                steering.cancel()  # what is still asked for is read when it is
                # Streams say goodbye before uvicorn waits for the connections they are on.
                self._deps.stopping.set()
                server.should_exit = True
                await asyncio.wait({serving})
                speaking.cancel()  # until then what nobody could be given is given back
        finally:
            server.force_exit = True
            listener.close()

    async def _speak(self) -> None:
        if self._deps.desk is not None:
            await self._deps.desk.run()

    @property
    def _deps(self) -> ApiDeps:
        deps: ApiDeps = self._app.state.deps
        return deps

    def _config(self) -> uvicorn.Config:
        limits = self._deps.limits
        return uvicorn.Config(
            OutermostStreams(self._app, watched=lambda: self._deps.watched("sse")),
            lifespan="off",
            log_config=None,  # records go where the process sends them
            log_level="warning",  # below that it tells whole addresses, and one may hold a ticket
            access_log=False,
            server_header=False,
            proxy_headers=bool(self._trusted),
            forwarded_allow_ips=self._trusted,
            http=within(limits.head_s, limits.head_bytes),
            ws=Sockets,
            ws_max_size=limits.socket_message_bytes,
            ws_per_message_deflate=False,  # and `Sockets` could not bear it
            timeout_graceful_shutdown=self._grace_s,
        )


class _Server(uvicorn.Server):
    @override
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield  # the process owns them


def listen(host: str, port: int, *, backlog: int) -> socket.socket:
    """A listening socket; a port of 0 is any free one. Raises Misconfigured in plain words."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        raise _explained(host, port, error) from error


def _explained(host: str, port: int, error: OSError) -> Misconfigured:
    match error.errno:
        case errno.EADDRINUSE:
            return Misconfigured(
                f"Port {port} on {host} is taken by another program.",
                f"Stop it, or choose another port: PORT={port + 1}.",
            )
        case errno.EACCES:
            return Misconfigured(
                f"This user may not listen on port {port}.", "Choose one above 1023: PORT=8000."
            )
        case _:
            return Misconfigured(
                f"Cannot listen on {host}, port {port}: {error.strerror or error}.",
                "Set HOST to an address of this machine, such as HOST=127.0.0.1.",
            )


async def _first(serving: asyncio.Task[None], stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        stopped = group.create_task(stop.wait())
        await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
