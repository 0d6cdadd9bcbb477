"""A sketch: what is physically there. One asyncio protocol, one Redis connection, no replay, no checks."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any, Final

import uvloop
from tests.bench.streams.wire import event
from typing_extensions import override

from headrace.adapters.redis.wire import Wire, connect
from headrace.contracts.logs import read_message

HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: hello\n\n"
)


class Watcher(asyncio.Protocol):
    def __init__(self, channels: dict[bytes, list[Watcher]], wire: Wire, prefix: str) -> None:
        self.channels, self.wire, self.prefix = channels, wire, prefix
        self.transport: Any = None
        self.channel = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        job = data.split(b"/")[2].decode()
        self.channel = f"{self.prefix}:{{{job}}}:live".encode()
        self.channels.setdefault(self.channel, []).append(self)
        self.wire.send("SUBSCRIBE", self.channel)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.channels.get(self.channel, ()):
            self.channels[self.channel].remove(self)


def show(channels: dict[bytes, list[Watcher]], reply: Any) -> None:
    match reply:
        case [b"subscribe", bytes(channel), _]:
            for watcher in channels[channel]:
                watcher.transport.write(HEAD)
        case [b"message", bytes(channel), bytes(message)]:
            events = b"".join(
                event(entry.position.seq, entry.type.encode(), entry.data)
                for entry in read_message(message)
            )
            for watcher in channels[channel]:
                watcher.transport.write(events)
        case _:
            pass


async def main(port: int, redis: str, prefix: str) -> None:
    channels: dict[bytes, list[Watcher]] = {}
    wire = await connect(redis, partial(show, channels))
    server = await asyncio.get_running_loop().create_server(
        lambda: Watcher(channels, wire, prefix), "127.0.0.1", port, backlog=2048
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
