"""One Redis connection: replies go to a callback, nothing waits, nothing is read twice.

Parsed in C and handed over without a task or a timer for each message, since every frame that is
written or shown passes here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

import hiredis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.exceptions import RedisError
from typing_extensions import override

from headrace.contracts.logs import each_node

CONNECT_WITHIN_S: Final = 2.0

Received = Callable[[Any], None]


class Wire(asyncio.Protocol):
    """`lost` is set once the connection is of no more use; `heard` counts what came in."""

    clustered = False  # said by the server as it greets

    def __init__(self, received: Received) -> None:
        self.lost = asyncio.Event()
        self.heard = 0
        self._received = received
        self._unsent: list[bytes] = []
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None

    def send(self, *words: str | int | bytes) -> None:
        self.write(hiredis.pack_command(words))  # type: ignore[arg-type]  # the stub says one word

    def write(self, packed: bytes) -> None:
        """With all else that is said in this turn of the loop: the kernel, and the server, wake up once."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(packed)

    def _flush(self) -> None:
        said, self._unsent = b"".join(self._unsent), []
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(said)

    def close(self) -> None:
        """At once: there is nothing left to say, and a frozen server would never take it."""
        if self._transport is not None:
            self._transport.abort()
        self.lost.set()

    async def lost_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.lost.wait()
        return self.lost.is_set()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self.heard += 1
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._received(reply)
        except hiredis.ProtocolError:
            self.close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._received(hiredis.HiredisError(f"connection lost: {exc}"))
        self.lost.set()


async def connect(url: str, received: Received) -> Wire:
    """To the first that is there of those that `url` names; nearly always that is one.

    Raises OSError, TimeoutError or RedisError when the server is not there or refuses us.
    """
    *others, last = each_node(url)
    for each in others:
        with suppress(OSError, TimeoutError, RedisError):
            return await _connect(each, received)
    return await _connect(last, received)


async def _connect(url: str, received: Received) -> Wire:
    options: dict[str, Any] = dict(parse_url(url))
    handshake: asyncio.Queue[Any] = asyncio.Queue(8)  # three answers, and perhaps the loss
    wire = Wire(handshake.put_nowait)
    async with asyncio.timeout(CONNECT_WITHIN_S):
        await _open(options, wire)
        try:
            await _authenticate(options, wire, handshake)
        except BaseException:
            wire.close()
            raise
    wire._received = received  # noqa: SLF001  # one class in two functions: the greeting is over
    return wire


async def _open(options: dict[str, Any], wire: Wire) -> None:
    loop = asyncio.get_running_loop()
    if "path" in options:
        await loop.create_unix_connection(lambda: wire, options["path"])
        return
    await loop.create_connection(
        lambda: wire,
        options.get("host", "localhost"),
        options.get("port", 6379),
        ssl=_tls(options),
    )


def _tls(options: dict[str, Any]) -> ssl.SSLContext | None:
    """As redis-py reads the URL, so that both connections trust the same."""
    if options.pop("connection_class", None) is not SSLConnection:
        return None
    return SSLConnection(**options).ssl_context.get()


async def _authenticate(options: dict[str, Any], wire: Wire, replies: asyncio.Queue[Any]) -> None:
    """Say who we are, if the URL does, and hear from the one who listens what sort of Redis it is."""
    if "password" in options:
        name = [options["username"]] if options.get("username") else []
        wire.send("AUTH", *name, options["password"])
        _refused(await replies.get())
    wire.send("HELLO", 2)
    greeting = await replies.get()
    _refused(greeting)
    told = dict(zip(greeting[::2], greeting[1::2], strict=True))
    wire.clustered = told[b"mode"] == b"cluster"
    if options.get("db"):
        wire.send("SELECT", options["db"])
        _refused(await replies.get())


def _refused(reply: Any) -> None:
    if isinstance(reply, hiredis.HiredisError):
        raise RedisError(str(reply))
