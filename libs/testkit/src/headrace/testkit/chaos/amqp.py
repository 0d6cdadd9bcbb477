"""Edits of what a client sends to a broker, for the proxy: mistakes that no sound client makes.

Each looks for one whole frame and adds another behind or before it, on the same channel, so that
the broker closes that channel and no other.
"""

from __future__ import annotations

import re
from typing import Final

_METHOD: Final = rb"\x01(?P<channel>(?!\x00\x00)..)"
_END: Final = b"\xce"
# basic.ack: a delivery tag and one bit
_ACK: Final = re.compile(
    _METHOD + rb"\x00\x00\x00\x0d\x00\x3c\x00\x50.{8}[\x00\x01]\xce", re.DOTALL
)
# basic.publish: only where it begins
_PUBLISH: Final = re.compile(_METHOD + rb"\x00\x00..\x00\x3c\x00\x28", re.DOTALL)
NOBODYS_QUEUE: Final = "nobody-made-this"


def ack_twice(data: bytes) -> bytes | None:
    """406: the second time, its delivery is not there any more."""
    found = _ACK.search(data)
    if found is None:
        return None
    return data[: found.end()] + found[0] + data[found.end() :]


def ask_for_a_missing_queue(data: bytes) -> bytes | None:
    """404: a passive declaration, before something is published on that channel."""
    found = _PUBLISH.search(data)
    if found is None:
        return None
    name = bytes([len(NOBODYS_QUEUE)]) + NOBODYS_QUEUE.encode()
    declare = b"\x00\x32\x00\x0a\x00\x00" + name + b"\x01" + b"\x00\x00\x00\x00"
    frame = b"\x01" + found["channel"] + len(declare).to_bytes(4, "big") + declare + _END
    return data[: found.start()] + frame + data[found.start() :]
