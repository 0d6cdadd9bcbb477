"""Server-Sent Events over Locust's own client, an event at a time.

`FastHttpSession.iter_lines` waits for whole kilobytes, which hides exactly what is measured here.
"""

from __future__ import annotations

import json
import random
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

import gevent
from geventhttpclient.response import HTTPParseError
from locust.contrib.fasthttp import FastHttpSession

CUT_OFF: Final = (HTTPParseError, OSError)
CONNECTIONS: Final = 20  # so many times one stream is come back for
_COME_BACK_S: Final = (0.5, 1.5)


@dataclass(frozen=True, slots=True)
class Event:
    id: str
    type: str
    body: dict[str, Any]


def events(
    client: FastHttpSession, path: str, *, name: str, headers: dict[str, str]
) -> Generator[Event]:
    """Until the stream ends, or breaks (CUT_OFF). A refusal is a request that failed, and no event.

    Whoever closes it early hangs up, as a laptop that is closed does.
    """
    asked = {**headers, "Accept": "text/event-stream", "Accept-Encoding": "identity"}
    response = client.get(path, name=name, headers=asked, stream=True)
    if response.status_code != 200:
        return
    stream: Any = response.stream
    try:
        while block := bytes(stream.readline(b"\n\n")):
            if (event := _event(block)) is not None:
                yield event
    finally:
        stream.release()  # closes the connection, unless its answer was read to the end


def come_back_later() -> None:
    """After a connection that brought nothing: it was refused, or broke at once."""
    gevent.sleep(random.uniform(*_COME_BACK_S))


def _event(block: bytes) -> Event | None:
    fields: dict[str, str] = {}
    data: list[str] = []
    for line in block.decode().splitlines():
        name, _, value = line.partition(": ")
        if name == "data":
            data.append(value)
        elif name:  # a comment has none
            fields[name] = value
    if not data:
        return None
    return Event(fields.get("id", ""), fields.get("event", "message"), json.loads("\n".join(data)))
