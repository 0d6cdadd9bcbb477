"""What publisher, gateways and clients of the benchmark have agreed on."""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

EPOCH: Final = 1
FIRST_TOKEN: Final = 2  # `started` is frame 1 of the epoch


@dataclass(frozen=True, slots=True)
class Wire:
    """How a client speaks to a gateway: what it asks for, and what it finds in the answers."""

    path: str
    upgrade: bool
    greeting: re.Pattern[bytes]  # the first byte of the answer's body
    following: re.Pattern[bytes]  # from here on nothing is missed
    token: re.Pattern[bytes]  # its number and when it was made
    replies: tuple[tuple[bytes, str], ...] = ()  # to each of these words once: what to say then

    def request(self, job: str, address: str) -> bytes:
        lines = [f"GET {self.path.format(job=job)} HTTP/1.1", f"Host: {address}"]
        if self.upgrade:
            key = base64.b64encode(os.urandom(16)).decode()
            lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
            lines += [f"Sec-WebSocket-Key: {key}"]
        else:
            lines += ["Accept: text/event-stream"]
        return "\r\n".join([*lines, "", ""]).encode()


_BODY: Final = re.compile(rb"\r\n\r\n.")
_HEAD: Final = re.compile(rb"\r\n\r\n")
# Server-Sent Events as every gateway of ours writes them, and Headrace's messages over WebSocket.
_SSE: Final = re.compile(rb'id: 1-(\d+)\nevent: token\ndata: \{"type":"token","text":"(\d+)"\}\n\n')
_SOCKET: Final = re.compile(rb'"id":"1-(\d+)","frame":\{"type":"token","text":"(\d+)"\}\}')
_NUMBERED: Final = rb'\{"type":"token","seq":(\d+),"text":"(\d+)"\}'

WIRES: Final[Mapping[str, Wire]] = {
    "sse": Wire("/jobs/{job}/events", False, _BODY, _BODY, _SSE),
    "headrace": Wire("/jobs/{job}/events", False, _BODY, re.compile(rb"id: 1-1\n"), _SSE),
    "websocket": Wire("/jobs/{job}/ws", True, _BODY, re.compile(rb'"id":"1-1"'), _SOCKET),
    # nchan has the client on its list when it sends the head, and no body before a message.
    "nchan": Wire("/jobs/{job}/events", False, _HEAD, _HEAD, re.compile(rb"data: " + _NUMBERED)),
    "socketio": Wire(
        "/socket.io/?EIO=4&transport=websocket",
        True,
        re.compile(rb"430\["),  # it is let into the room by then; nothing before that is of use
        re.compile(rb"430\["),
        re.compile(rb'42\["frame",' + _NUMBERED),
        replies=((b'0{"sid"', "40"), (b'40{"sid"', '420["watch","{job}"]')),
    ),
}


def token(padding: int = 0) -> bytes:
    """A token that says when it was made: one clock for all processes of this machine."""
    return b'{"type":"token","text":"%d%b"}' % (time.monotonic_ns(), b"." * padding)


def numbered(seq: int) -> bytes:
    """The same for gateways without positions of their own."""
    return b'{"type":"token","seq":%d,"text":"%d"}' % (seq, time.monotonic_ns())


def event(seq: int, type_: bytes, data: bytes) -> bytes:
    return b"id: %d-%d\nevent: %b\ndata: %b\n\n" % (EPOCH, seq, type_, data)


def text_frame(text: str) -> bytes:
    """A WebSocket message of a client, masked with nothing."""
    data = text.encode()
    return bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data  # fewer than 126 bytes
