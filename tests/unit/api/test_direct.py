"""What is written past ASGI: as ASGI would have written it, to who has room, and to nobody else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from headrace.api.deps import Limits
from headrace.api.gateways.messages import framed, message
from headrace.api.gateways.once import Once
from headrace.api.gateways.sse import EventStream, event
from headrace.api.stopping import Stopping
from headrace.contracts.frames import Entry, Token
from headrace.contracts.ids import JobId, Position
from headrace.core.ports.streams import Take
from headrace.testkit.waits import eventually

RED = {"apikey": "key-of-red"}


def token(seq: int) -> Entry:
    return Entry(Position(1, seq), "token", b"{}")


class Client:
    """A client on both ways, who has room or has not."""

    def __init__(self) -> None:
        self.room = True
        self.direct: list[bytes] = []
        self.sent: list[bytes] = []
        self.left: Any = None

    def write(self, said: bytes) -> bool:
        if self.room:
            self.direct.append(said)
        return self.room

    def when_left(self, left: Any) -> None:
        self.left = left

    async def send(self, said: Any) -> None:
        self.sent.append(said["body"])

    async def receive(self) -> Any:
        raise AssertionError("nobody needs to ask whether this client is there")


class Log:
    """A watch whose batches and live frames come when the test says so."""

    def __init__(self) -> None:
        self.batches: asyncio.Queue[Sequence[Entry] | None] = asyncio.Queue()
        self.tell: Take = lambda _: False
        self.closed = False

    async def __call__(self, tell: Take) -> Any:
        self.tell = tell
        try:
            while (batch := await self.batches.get()) is not None:
                yield batch
        finally:
            self.closed = True


@asynccontextmanager
async def streaming(
    client: Client, log: Log, **limits: Any
) -> AsyncIterator[tuple[asyncio.Task[None], Stopping]]:
    stopping = Stopping()
    stream = EventStream(log, stopping=stopping, limits=Limits(**limits))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(stream.run(client.receive, client.send, client))
        await eventually(lambda: client.direct != [])
        yield task, stopping


async def test_live_events_are_written_at_once_and_those_without_room_are_refused() -> None:
    client, log = Client(), Log()
    async with streaming(client, log):
        assert log.tell([token(1)])
        client.room = False
        refused = not log.tell([token(2)])
        log.batches.put_nowait([token(2)])  # so its task tells it, and waits for room
        await eventually(lambda: client.sent != [])
        client.room = True
        assert log.tell([token(3)])
        log.batches.put_nowait(None)

    assert refused
    assert client.direct[1:] == [event(token(1)), event(token(3))]
    assert client.sent == [event(token(2)), b""]


async def test_a_client_that_leaves_ends_its_stream_without_a_word() -> None:
    client, log = Client(), Log()
    async with streaming(client, log) as (task, _):
        client.left()
        await asyncio.wait([task])

    assert log.closed
    assert (client.sent, client.left) == ([], None)


async def test_a_client_that_leaves_while_the_server_does_is_told_nothing_more() -> None:
    client, log = Client(), Log()
    async with streaming(client, log) as (task, stopping):
        client.left()
        stopping.set()
        await asyncio.wait([task])

    assert client.sent == []


async def test_those_who_watch_are_told_to_come_back_when_the_server_stops() -> None:
    client, log = Client(), Log()
    async with streaming(client, log) as (task, stopping):
        log.tell([token(1)])
        stopping.set()
        await asyncio.wait([task])

    assert log.closed
    assert [b"this server stops" in said for said in client.sent] == [True]


async def test_what_was_said_at_once_puts_off_the_sign_of_life() -> None:
    client, log = Client(), Log()
    async with streaming(client, log, ping_s=0.0):
        log.tell([token(1)])
        log.batches.put_nowait([])
        await eventually(log.batches.empty)
        quiet = list(client.direct[1:])
        log.batches.put_nowait([])
        await eventually(lambda: len(client.direct) == 3)
        log.batches.put_nowait(None)

    assert quiet == [event(token(1))]
    assert client.direct[2] == b": ping\n"


def test_a_batch_is_encoded_once_for_all_who_are_told_it() -> None:
    made: list[Sequence[Entry]] = []

    def encode(batch: Sequence[Entry]) -> bytes:
        made.append(batch)
        return b"%d" % len(batch)

    once, first, same = Once(encode), [token(1)], [token(1)]

    assert [once(first), once(first), once(same)] == [b"1", b"1", b"1"]
    assert len(made) == 2  # equal is not the same


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_message_is_framed_as_another_library_reads_it(size: int) -> None:
    reader = StreamReader()
    reader.feed_data(framed(b"x" * size))

    parsing = Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as read:
        next(parsing)

    frame = read.value.value
    assert (frame.opcode, frame.fin, len(frame.data)) == (Opcode.TEXT, True, size)


def test_a_message_is_utf_8_whatever_an_engine_wrote() -> None:
    told = message(JobId("j"), Entry(Position(1, 1), "log", b'{"line":"\xff\xc3\xa9"}'))

    assert told.decode() == '{"job":"j","id":"1-1","frame":{"line":"\ufffd\xe9"}}'


async def test_a_client_that_reads_late_misses_nothing_said_live(
    server: Any, submitted: str, backstage: Any, streams: Any
) -> None:
    await backstage.start(submitted)
    texts = [f"{nth} " + "x" * 25_000 for nth in range(400)]  # more than sockets and buffers hold
    with socket.create_connection((server.role.host, server.role.port)) as client:
        client.sendall(_asking(submitted))
        await eventually(lambda: submitted in streams._watchers)
        for text in texts:
            await backstage.say(submitted, Token(text))
        await backstage.finish(submitted, {"text": "a"})

        said = await asyncio.to_thread(_all, client)

    found = [line for line in said.split(b"\n") if line.startswith(b'data: {"type":"token"')]
    assert [line.split(b'"')[7].split()[0] for line in found] == [
        str(nth).encode() for nth in range(len(texts))
    ]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_live_events_are_whole_chunks_for_either_http(
    server: Any, submitted: str, backstage: Any, streams: Any, version: str
) -> None:
    await backstage.start(submitted)
    with socket.create_connection((server.role.host, server.role.port)) as client:
        client.sendall(_asking(submitted, version))
        await eventually(lambda: submitted in streams._watchers)
        for nth in range(20):
            await backstage.say(submitted, Token(f"{nth} é"))
        await backstage.finish(submitted, {"text": "a"})

        said = await asyncio.to_thread(_all, client)

    body = _unchunked(said.partition(b"\r\n\r\n")[2])
    assert body.count(b"event: token\n") == 20
    assert body.endswith(b'"text":"a"}}\n\n')


async def test_who_disconnects_is_watching_no_more_although_nothing_is_said(
    live: httpx.AsyncClient, submitted: str, backstage: Any, streams: Any
) -> None:
    await backstage.start(submitted)
    async with live.stream("GET", f"/jobs/{submitted}/events", headers=RED) as answer:
        await anext(answer.aiter_lines())
        await eventually(lambda: submitted in streams._watchers)

    await eventually(lambda: submitted not in streams._watchers)


def _asking(job: str, version: str = "1.1") -> bytes:
    return (
        f"GET /jobs/{job}/events HTTP/{version}\r\nHost: a\r\n"
        "apikey: key-of-red\r\nConnection: close\r\n\r\n"
    ).encode()


def _all(client: socket.socket) -> bytes:
    client.settimeout(30)
    said = b""
    while piece := client.recv(1 << 20):
        said += piece
    return said


def _unchunked(said: bytes) -> bytes:
    body = b""
    while said:
        size, _, rest = said.partition(b"\r\n")
        body += rest[: int(size, 16)]
        assert rest[int(size, 16) :][:2] == b"\r\n"
        said = rest[int(size, 16) + 2 :]
    return body
