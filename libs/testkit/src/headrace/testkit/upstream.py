"""A tiny OpenAI-compatible server that answers as scripted, on a port of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

_REASONS = {200: "OK", 400: "Bad Request"}


@dataclass(frozen=True)
class Script:
    """Say `status` and `events` (each the data of a server-sent event), then end as told."""

    events: Sequence[str] = ()
    status: int = 200
    body: bytes = b""
    end: str = "close"  # or "hang": keep the line open and say nothing


@dataclass
class ScriptedServer:
    script: Script
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)  # the client hung up

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
        headers = {name.lower(): value for name, _, value in lines}
        body = await reader.readexactly(int(headers["content-length"]))
        self.headers.append(headers)
        self.requests.append(msgspec.json.decode(body))
        reason = _REASONS.get(self.script.status, "Other")
        kind = "text/event-stream" if self.script.events else "application/json"
        writer.write(
            f"HTTP/1.1 {self.script.status} {reason}\r\ncontent-type: {kind}\r\n"
            "connection: close\r\n\r\n".encode()
        )
        writer.write(self.script.body)
        writer.writelines(f"data: {event}\n\n".encode() for event in self.script.events)
        await writer.drain()
        if self.script.end == "hang" and not await reader.read():
            self.left.set()
        writer.close()


@contextmanager
def scripted_server(script: Script) -> Iterator[ScriptedServer]:
    """Serve from a thread, for as long as the block lasts."""
    server, ready = ScriptedServer(script), threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        listener = await asyncio.start_server(server.answer, "127.0.0.1", 0)
        async with listener:
            server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(5)
        yield server
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(5)
        loop.close()


def chunk(text: str | None = None, *, finish: str | None = None, usage: Any = None) -> str:
    """One event of a streamed chat completion."""
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    said: dict[str, Any] = {"object": "chat.completion.chunk", "choices": [choice]}
    return msgspec.json.encode(said | ({"usage": usage} if usage else {})).decode()
