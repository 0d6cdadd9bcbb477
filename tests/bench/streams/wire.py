"""What publisher, gateways and clients of the benchmark have agreed on."""

from __future__ import annotations

import re
import time
from typing import Final

EPOCH: Final = 1
FIRST_TOKEN: Final = 2  # `started` is frame 1 of the epoch
# Server-Sent Events as every gateway here writes them, and Headrace's messages over WebSocket.
SSE_TOKEN: Final = re.compile(
    rb'id: 1-(\d+)\nevent: token\ndata: \{"type":"token","text":"(\d+)"\}\n\n'
)
SOCKET_TOKEN: Final = re.compile(rb'"id":"1-(\d+)","frame":\{"type":"token","text":"(\d+)"\}\}')


def token() -> bytes:
    """A token that says when it was made: one clock for all processes of this machine."""
    return b'{"type":"token","text":"%d"}' % time.monotonic_ns()


def event(seq: int, type_: bytes, data: bytes) -> bytes:
    return b"id: %d-%d\nevent: %b\ndata: %b\n\n" % (EPOCH, seq, type_, data)
