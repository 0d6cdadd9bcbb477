"""Live doors under fire: no failure of ours, nobody else disturbed, no memory kept."""

from __future__ import annotations

import json
import logging
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from headrace.contracts.frames import Queued, Started, encode_frame, frame_type
from headrace.contracts.ids import JobId
from headrace.core.ports.streams import Batch

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]
RED = {"apikey": "key-of-red"}
FEW, MANY = 25, 1000
FULL = pytest.param(MANY, marks=[pytest.mark.full, pytest.mark.timeout(1200)])
MOST_MIB = (
    96  # the first examples fill caches, of hypothesis's too; what is kept of each would be more
)


@pytest.fixture(scope="module")
def job(door: Any) -> str:
    """One that is watched, with a frame of each kind of epoch."""
    asked = {"kind": "text", "input": {}}
    made = httpx.post(f"{door.url}/jobs", json=asked, headers=RED).json()["id"]
    for epoch, frame in ((0, Queued()), (1, Started(worker="w", attempt=1))):
        said = [(frame_type(frame), encode_frame(frame))]
        door.do(door.streams.append([Batch(JobId(made), epoch, said, first_seq=1)]))
    return str(made)


@pytest.fixture(scope="module")
def tally(figures: list[str]) -> Iterator[Counter[str]]:
    tally: Counter[str] = Counter()
    yield tally
    said = ", ".join(f"{count} {what}" for what, count in sorted(tally.items()))
    figures.append(f"live doors: {said}")


@pytest.fixture(autouse=True)
def no_failure_of_ours(caplog: pytest.LogCaptureFixture, tally: Counter[str]) -> Iterator[None]:
    process = psutil.Process()
    before = process.memory_info().rss
    with caplog.at_level(logging.ERROR):
        yield
    grown_mib = (process.memory_info().rss - before) / 2**20
    tally["MiB grown at most"] = max(tally["MiB grown at most"], round(grown_mib))
    ours = [each for each in caplog.records if not each.name.startswith("websockets.client")]
    assert [record.getMessage() for record in ours] == []
    assert grown_mib < MOST_MIB


@dataclass(frozen=True)
class Many:
    """So long a message, written down in short."""

    character: str
    count: int


def others_are_served(door: Any, job: str) -> None:
    """Answered, and followed, as if nothing were."""
    assert httpx.get(f"{door.url}/livez", timeout=5).status_code == 200
    with connect(f"ws://{door.address}/ws", additional_headers=RED) as other:
        other.send(json.dumps({"subscribe": job}))
        assert [json.loads(other.recv(timeout=5))["id"] for _ in range(2)] == ["0-1", "1-1"]


def fuzz(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


garbage = st.text(max_size=80) | st.sampled_from(["", "JOB", "job", "1-1", "0" * 99])
positions = garbage | st.from_regex(r"[0-9]{1,20}-[0-9]{1,20}", fullmatch=True)
values = garbage | positions | st.none() | st.integers() | st.lists(garbage, max_size=2)
near = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("subscribe", "after", "unsubscribe", "cancel", "authorization", "shout"), values
    ),
)
follow = st.fixed_dictionaries({"subscribe": st.just("JOB")}, optional={"after": positions})
messages = st.one_of(
    near.map(json.dumps),
    follow.map(json.dumps),
    garbage,
    st.binary(max_size=200),
    st.builds(Many, st.just("["), st.integers(1, 5_000)),
    st.builds(Many, st.just("x"), st.integers(65_000, 70_000)),
)


@pytest.mark.parametrize("examples", [FEW, FULL])
@pytest.mark.parametrize("path", ["/ws", "/jobs/JOB/ws"])
def test_whatever_is_said_on_a_socket(
    door: Any, job: str, tally: Counter[str], path: str, examples: int
) -> None:
    @fuzz(examples)
    @given(said=st.lists(messages, max_size=12), key=st.booleans(), politely=st.booleans())
    def talk(said: list[str | bytes | Many], key: bool, politely: bool) -> None:
        url = f"ws://{door.address}{path.replace('JOB', job)}"
        with connect(url, additional_headers=RED if key else {}) as client:
            tally["sockets"] += 1
            with suppress(ConnectionClosed):
                for each in said:
                    client.send(spelled(each, job))
                    tally["messages"] += 1
            if not politely:
                with suppress(OSError):  # the server was quicker
                    client.socket.shutdown(socket.SHUT_RDWR)
        assert client.close_code != 1011, "an error of ours"
        others_are_served(door, job)

    talk()


def spelled(said: str | bytes | Many, job: str) -> str | bytes:
    match said:
        case Many():
            return said.character * said.count
        case str():
            return said.replace("JOB", job)
        case _:
            return said


def upgrade(path: str = "/ws", **headers: str) -> bytes:
    usual = {
        "Host": "HOST", "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    lines = [f"{name}: {value}" for name, value in {**usual, **RED, **headers}.items()]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


@st.composite
def websocket_frames(draw: st.DrawFn) -> bytes:
    """Of any opcode, with any flags, masked or not, of a length that may be a lie."""
    first = draw(st.integers(0, 255))
    payload = draw(st.binary(max_size=130))
    claimed = draw(st.sampled_from([len(payload), 0, 125, 65_535, 2**40]))
    masked = 0x80 * draw(st.booleans())
    if claimed < 126:
        head = struct.pack("!BB", first, masked | claimed)
    elif claimed < 65_536:
        head = struct.pack("!BBH", first, masked | 126, claimed)
    else:
        head = struct.pack("!BBQ", first, masked | 127, claimed)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def raw(door: Any) -> Any:
    host, _, port = door.address.partition(":")
    return closing(socket.create_connection((host, int(port)), timeout=5))


@pytest.mark.parametrize("examples", [FEW, FULL])
def test_whatever_bytes_follow_a_handshake(
    door: Any, job: str, tally: Counter[str], examples: int
) -> None:
    @fuzz(examples)
    @given(sent=st.lists(websocket_frames() | st.binary(max_size=60), max_size=6))
    def break_in(sent: list[bytes]) -> None:
        with raw(door) as client, suppress(ConnectionError):
            client.sendall(upgrade())
            assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
            tally["sockets"] += 1
            for each in sent:
                client.sendall(each)
                tally["raw frames"] += 1
        others_are_served(door, job)

    break_in()


@pytest.mark.parametrize("examples", [FEW, FULL])
def test_whatever_handshake_is_tried(
    door: Any, job: str, tally: Counter[str], examples: int
) -> None:
    plain = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)
    bent = st.fixed_dictionaries(
        {},
        optional={
            "Origin": plain | st.sampled_from(["null", "http://evil.example", "http://["]),
            "Host": plain,
            "apikey": plain,
            "Sec-WebSocket-Key": plain,
            "Sec-WebSocket-Version": plain,
            "Sec-WebSocket-Extensions": plain,
            "Connection": plain,
        },
    )
    paths = st.sampled_from(["/ws", f"/jobs/{job}/ws", "/jobs/%00/ws", "/jobs/x/ws", "/nobody"])
    after = st.sampled_from(["", "?after=", "?after=1-1", "?after=%ff%fe", "?after=" + "9" * 900])

    @fuzz(examples)
    @given(path=paths, after=after, headers=bent, cut=st.none() | st.integers(1, 200))
    def knock(path: str, after: str, headers: dict[str, str], cut: int | None) -> None:
        asked = upgrade(path + after, **headers)[:cut]
        answer = b""
        with raw(door) as client, suppress(ConnectionError):
            client.sendall(asked)
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(4096)
        tally["handshakes"] += 1
        assert not answer.startswith(b"HTTP/1.1 5"), answer
        others_are_served(door, job)

    knock()


@pytest.mark.parametrize("examples", [FEW, FULL])
def test_whatever_position_events_are_asked_from(
    door: Any, job: str, tally: Counter[str], examples: int
) -> None:
    line = st.binary(max_size=60).map(lambda some: some.translate(None, b"\r\n\0"))
    real = st.from_regex(r"[0-9]{1,19}-[0-9]{1,19}", fullmatch=True).map(str.encode)

    @fuzz(examples)
    @given(header=st.none() | line | real, query=st.none() | st.text(max_size=40))
    def ask(header: bytes | None, query: str | None) -> None:
        url = httpx.URL(f"{door.url}/jobs/{job}/events")
        asked = url if query is None else url.copy_set_param("after", query)
        head = b"GET %b HTTP/1.1\r\nHost: x\r\napikey: key-of-red\r\n" % asked.raw_path
        last = b"" if header is None else b"Last-Event-ID: %b\r\n" % header
        with raw(door) as client:
            client.sendall(head + last + b"\r\n")
            answer = client.recv(4096)
        status = answer.split(b" ", 2)[1].decode()
        tally[f"event streams answered {status}"] += 1
        assert status in {"200", "204", "400"}, answer
        others_are_served(door, job)

    ask()


BODY = (
    b"POST /jobs HTTP/1.1\r\nHost: x\r\napikey: key-of-red\r\nContent-Length: 99\r\n"
    b"Content-Type: application/json\r\n\r\n{"
)


@pytest.mark.parametrize(
    ("begun", "answered"),
    [
        (b"", b""),
        (b"GET /livez HT", b"HTTP/1.1 408 "),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: b", b"HTTP/1.1 408 "),
        (BODY, b"HTTP/1.1 408 "),
        (b"GET /livez HTTP/1.1\r\nX-A: " + b"a" * 2**20, b"HTTP/1.1 431 "),
        (b"GET /" + b"a" * 2**20, b"HTTP/1.1 431 "),
    ],
    ids=["nothing", "half a line", "half a head", "half a body", "an endless head", "a long line"],
)
def test_who_never_ends_a_request_is_let_go(
    door: Any, job: str, begun: bytes, answered: bytes
) -> None:
    answer = b""
    with raw(door) as slow, suppress(ConnectionError):
        slow.sendall(begun)
        others_are_served(door, job)
        while more := slow.recv(4096):
            answer += more

    assert answer.startswith(answered)
    others_are_served(door, job)


def test_a_hundred_slow_ones_delay_nobody(door: Any, job: str, tally: Counter[str]) -> None:
    slow = [socket.create_connection(door.address.split(":"), timeout=5) for _ in range(100)]
    for client in slow:
        client.sendall(b"GET /jobs HTTP/1.1\r\nHost: x\r\n")
    others_are_served(door, job)
    for client in slow:
        with suppress(ConnectionError):
            assert client.recv(4096).startswith(b"HTTP/1.1 408 ")
        client.close()
    tally["slow clients"] += len(slow)
