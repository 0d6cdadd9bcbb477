"""Many watchers in one process, as cheap as they can be: raw sockets, one epoll, one regex.

Reads its orders as JSON on stdin; says one line of JSON when all are connected and one at the end.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import sys
import time
from array import array
from dataclasses import dataclass, field
from typing import Any, Final

from tests.bench.streams.wire import FIRST_TOKEN, SOCKET_TOKEN, SSE_TOKEN

PIECE: Final = 1 << 18
TAIL: Final = 1 << 16  # more than any token and whatever stands around it
CONNECT_WITHIN_S: Final = 60.0


@dataclass(slots=True)
class Watcher:
    job: str
    started: float
    first_byte_s: float | None = None
    first_event_s: float | None = None
    next_seq: int = FIRST_TOKEN
    received: int = 0
    disorder: int = 0
    rest: bytes = b""
    closed: bool = False


@dataclass(slots=True)
class Swarm:
    host: str
    port: int
    sockets: bool
    replays: bool  # the gateway shows what was said before
    watchers: dict[int, Watcher] = field(default_factory=dict)
    open_: dict[int, socket.socket] = field(default_factory=dict)
    late_ns: array[int] = field(default_factory=lambda: array("q"))
    last_s: float = 0.0
    poll: select.epoll = field(default_factory=select.epoll)

    def connect(self, jobs: list[str]) -> None:
        """All of these at once; returns when each has its first bytes."""
        fresh = [self._open(job) for job in jobs]
        deadline = time.monotonic() + CONNECT_WITHIN_S
        while any(not self._greeted(watcher) for watcher in fresh):
            if time.monotonic() > deadline:
                raise TimeoutError("the gateway does not answer")
            self.turn(0.05)

    def close(self) -> None:
        for connection in self.open_.values():
            connection.close()
        self.open_.clear()
        self.watchers.clear()

    def turn(self, within_s: float) -> None:
        for fd, _ in self.poll.poll(within_s):
            self._take(fd, self.watchers[fd])

    def listen(self, expected: int, *, silent_s: float) -> None:
        """Until every token is here, or nothing came for so long."""
        while len(self.late_ns) < expected and time.monotonic() - self.last_s < silent_s:
            self.turn(0.1)

    def _greeted(self, watcher: Watcher) -> bool:
        seen = watcher.first_event_s if self.replays else watcher.first_byte_s
        return watcher.closed or seen is not None

    def _open(self, job: str) -> Watcher:
        started = time.monotonic()
        connection = socket.create_connection((self.host, self.port), timeout=CONNECT_WITHIN_S)
        connection.sendall(self._request(job))
        connection.setblocking(False)  # the socket's own signature
        watcher = self.watchers[connection.fileno()] = Watcher(job, started)
        self.open_[connection.fileno()] = connection
        self.poll.register(connection.fileno(), select.EPOLLIN)
        return watcher

    def _request(self, job: str) -> bytes:
        path = f"/jobs/{job}/ws" if self.sockets else f"/jobs/{job}/events"
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        if self.sockets:
            key = base64.b64encode(os.urandom(16)).decode()
            lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
            lines += [f"Sec-WebSocket-Key: {key}"]
        else:
            lines += ["Accept: text/event-stream"]
        return "\r\n".join([*lines, "", ""]).encode()

    def _take(self, fd: int, watcher: Watcher) -> None:
        try:
            piece = self.open_[fd].recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            watcher.closed = True
            self.poll.unregister(fd)
            return
        now = time.monotonic_ns()
        self.last_s = now / 1e9
        if watcher.first_event_s is None:
            self._note_first(watcher, piece)
        self._read(watcher, watcher.rest + piece, now)

    def _note_first(self, watcher: Watcher, piece: bytes) -> None:
        since = time.monotonic() - watcher.started
        if watcher.first_byte_s is None:
            watcher.first_byte_s = since
        if b"id: " in piece or b'"id":' in piece:
            watcher.first_event_s = since

    def _read(self, watcher: Watcher, data: bytes, now_ns: int) -> None:
        end = 0
        for match in (SOCKET_TOKEN if self.sockets else SSE_TOKEN).finditer(data):
            seq, made_ns = match.groups()
            watcher.disorder += int(seq) != watcher.next_seq
            watcher.next_seq = int(seq) + 1
            watcher.received += 1
            self.late_ns.append(now_ns - int(made_ns))
            end = match.end()
        watcher.rest = data[end:][-TAIL:]


def main() -> None:
    orders: dict[str, Any] = json.loads(sys.stdin.readline())
    swarm = Swarm("127.0.0.1", orders["port"], orders["sockets"], orders["replays"])
    jobs: list[str] = orders["jobs"]
    swarm.connect(jobs[: orders["at_once"]])  # the first ones pay for what is made once
    swarm.close()
    say()
    sys.stdin.readline()
    for start in range(0, len(jobs), orders["at_once"]):
        swarm.connect(jobs[start : start + orders["at_once"]])
    watchers = list(swarm.watchers.values())
    say(
        first_byte_ms=quantiles([1e3 * (each.first_byte_s or 0.0) for each in watchers]),
        first_event_ms=quantiles(
            [1e3 * each.first_event_s for each in watchers if each.first_event_s is not None]
        ),
    )
    each_gets = orders["each_gets"]
    swarm.listen(each_gets * len(watchers), silent_s=orders["silent_s"])
    say(
        received=sum(each.received for each in watchers),
        expected=each_gets * len(watchers),
        disorder=sum(each.disorder for each in watchers),
        closed=sum(each.closed for each in watchers),
        late_ms=quantiles([ns / 1e6 for ns in swarm.late_ns]),
        last_s=swarm.last_s,
    )
    sys.stdin.readline()  # what we used is read while we are still there


def quantiles(values: list[float]) -> list[float]:
    """The 50th and the 99th percentile."""
    ordered = sorted(values)
    return [ordered[int(part * (len(ordered) - 1))] if ordered else 0.0 for part in (0.5, 0.99)]


def say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
