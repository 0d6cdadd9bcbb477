"""What is said on a socket about one job, as text and as it goes over the wire."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack
from typing import Final

from headrace.api.gateways.once import Once
from headrace.contracts.frames import Entry
from headrace.contracts.ids import JobId

_TEXT: Final = 0x81  # a whole message
_SHORT, _LONG = 126, 127  # sizes from here on stand in the 2 bytes that follow, or in 8


def message(job: JobId, entry: Entry) -> bytes:
    """The frame's JSON is passed on as it is: nobody here has a reason to read it. Always UTF-8."""
    at, data = entry.position, entry.data
    if not data.isascii():
        data = data.decode(errors="replace").encode()
    return b'{"job":"%b","id":"%d-%d","frame":%b}' % (job.encode(), at.epoch, at.seq, data)


def framed(text: bytes) -> bytes:
    """One text message of a server (RFC 6455, 5.2): unmasked, whole, not compressed."""
    size = len(text)
    if size < _SHORT:
        return pack(">BB", _TEXT, size) + text
    if size < 1 << 16:
        return pack(">BBH", _TEXT, _SHORT, size) + text
    return pack(">BBQ", _TEXT, _LONG, size) + text


def framed_messages(batch: Sequence[Entry], job: JobId) -> bytes:
    return b"".join(framed(message(job, entry)) for entry in batch)


messages_for_all: Final = Once(framed_messages)
