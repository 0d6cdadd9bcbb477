"""A TCP proxy that misbehaves on request, between a service and one of its servers.

Every connection obeys the same switches, which may be turned at any time. `heal` turns all back.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from headrace.testkit.servers import LOCALHOST, free_port

Way = Literal["up", "down"]  # up: towards the server
Edit: TypeAlias = Callable[[bytes], bytes | None]  # None: nothing to change here
CHUNK: Final = 65_536
# SO_LINGER of zero seconds: closing sends a reset instead of a goodbye.
RESET: Final = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Switches:
    latency_s: float = 0.0
    jitter_s: float = 0.0
    reset_chance: float = 0.0  # for each piece of data that passes
    refuse: bool = False  # new connections are reset
    hold_up: bool = False  # nothing reaches the server, and nobody is told
    hold_down: bool = False  # nothing comes back
    cut_after: bytes = b""  # once: let this through to the server, then reset before it can answer
    edit: Edit | None = None  # once: what goes up, where it finds something to change


class Proxy:
    """`url` is the server's with the proxy's address.

    `cuts` and `edits` count how often `cut_after` and `edit` found what they look for.
    """

    def __init__(self, url: str, *, random: Random | None = None) -> None:
        parts = urlsplit(url)
        self._server = _address(url)
        self._port = free_port()
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        self.url = urlunsplit(parts._replace(netloc=f"{user}{LOCALHOST}:{self._port}"))
        self.switches = Switches()
        self.cuts = 0
        self.edits = 0
        self._random = random or Random()
        self._changed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[Proxy]:
        server = await asyncio.start_server(self._serve, LOCALHOST, self._port)
        try:
            yield self
        finally:
            server.close()
            self.heal()
            self.reset_all()

    def turn(self, **switches: object) -> None:
        """Set switches by name."""
        for name, value in switches.items():
            setattr(self.switches, name, value)
        self._ring()

    def black_hole(self) -> None:
        """Connections stay open, and nothing passes in either direction."""
        self.turn(hold_up=True, hold_down=True)

    def heal(self) -> None:
        """Everything passes again. What was held is stale by now: its connections are reset."""
        held = self.switches.hold_up or self.switches.hold_down
        self.switches = Switches()
        self._ring()
        if held:
            self.reset_all()

    def lead_to(self, url: str) -> None:
        """To another server from here on; who is connected is reset."""
        self._server = _address(url)
        self.reset_all()

    def reset_all(self) -> None:
        for writer in list(self._open):
            _reset(writer)

    def _ring(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.switches.refuse:
            _reset(writer)
            return
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._server)
        except OSError:
            _reset(writer)
            return
        both = {writer, up_writer}
        self._open |= both
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump("up", reader, up_writer, writer))
                group.create_task(self._pump("down", up_reader, writer, up_writer))
        finally:
            self._open -= both

    async def _pump(
        self,
        way: Way,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        other: asyncio.StreamWriter,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._pass(way)
                if self._random.random() < self.switches.reset_chance:
                    break
                writer.write(self._edited(data) if way == "up" else data)
                await writer.drain()
                if way == "up" and self._cuts(data):
                    _reset(other)
                    break
        # One side is gone: the other hears of it.
        for each in (writer, other):
            with suppress(OSError, RuntimeError):
                each.close()

    def _edited(self, data: bytes) -> bytes:
        changed = self.switches.edit(data) if self.switches.edit else None
        if changed is None:
            return data
        self.switches.edit = None
        self.edits += 1
        return changed

    def _cuts(self, data: bytes) -> bool:
        pattern = self.switches.cut_after
        if not pattern or pattern not in data:
            return False
        self.switches.cut_after = b""
        self.cuts += 1
        return True

    async def _pass(self, way: Way) -> None:
        while self.switches.hold_up if way == "up" else self.switches.hold_down:
            await self._changed.wait()
        latency_s = self.switches.latency_s + self._random.uniform(-1, 1) * self.switches.jitter_s
        if latency_s > 0:
            await asyncio.sleep(latency_s)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or LOCALHOST, parts.port or 0


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    with suppress(OSError):
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport = writer.transport
    transport.abort()
