"""Many watchers in one process, as cheap as they can be: raw sockets, one epoll, one regex.

Reads its orders as JSON on stdin, one a line: whom to watch, to connect, then one for each round.
Says one line of JSON after each.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from array import array
from dataclasses import dataclass, field
from typing import Any, Final

from tests.bench.streams.wire import WIRES, Wire, text_frame

PIECE: Final = 1 << 18
TAIL: Final = 1 << 14  # more than any token and whatever stands around it
CONNECT_WITHIN_S: Final = 60.0
DEAF_BUFFER: Final = 4096
PING: Final = b"\x89\x04"  # what is said is ASCII, so these bytes are a frame's first
PONG: Final = b"\x8a\x84" + bytes(4)


@dataclass(slots=True)
class Watcher:
    job: str
    started: float
    greeted_s: float | None = None
    following_s: float | None = None
    replied: int = 0
    next_seq: int = 0
    received: int = 0
    disorder: int = 0
    rest: bytes = b""
    closed: bool = False


@dataclass(slots=True)
class Swarm:
    host: str
    port: int
    wire: Wire
    watchers: dict[int, Watcher] = field(default_factory=dict)
    open_: dict[int, socket.socket] = field(default_factory=dict)
    deaf: list[socket.socket] = field(default_factory=list)
    late_ns: array[int] = field(default_factory=lambda: array("q"))
    first_seq: int = 0
    last_s: float = 0.0
    poll: select.epoll = field(default_factory=select.epoll)

    def connect(self, jobs: list[str]) -> None:
        """All of these at once; returns when each follows."""
        fresh = [self._open(job) for job in jobs]
        deadline = time.monotonic() + CONNECT_WITHIN_S
        while any(each.following_s is None and not each.closed for each in fresh):
            if time.monotonic() > deadline:
                raise TimeoutError("the gateway does not answer")
            self.turn(0.05)

    def connect_deaf(self, job: str) -> None:
        """A client that asks and then reads nothing."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DEAF_BUFFER)
        connection.connect((self.host, self.port))
        connection.sendall(self.wire.request(job, f"{self.host}:{self.port}"))
        self.deaf.append(connection)

    def close(self) -> None:
        for connection in self.open_.values():
            connection.close()
        self.open_.clear()
        self.watchers.clear()

    def turn(self, within_s: float) -> None:
        for fd, _ in self.poll.poll(within_s):
            self._take(fd, self.watchers[fd])

    def begin(self, first_seq: int) -> None:
        """Forget the round before; its stragglers do not count."""
        self.first_seq, self.last_s, self.late_ns = first_seq, time.monotonic(), array("q")
        for watcher in self.watchers.values():
            watcher.next_seq, watcher.received, watcher.disorder = first_seq, 0, 0

    def listen(self, expected: int, *, silent_s: float, within_s: float) -> None:
        """Until every token is here, or nothing came for so long, or it takes too long."""
        deadline = time.monotonic() + within_s
        while len(self.late_ns) < expected:
            now = time.monotonic()
            if now - self.last_s > silent_s or now > deadline:
                return
            self.turn(0.1)

    def _open(self, job: str) -> Watcher:
        started = time.monotonic()
        connection = socket.create_connection((self.host, self.port), timeout=CONNECT_WITHIN_S)
        connection.sendall(self.wire.request(job, f"{self.host}:{self.port}"))
        connection.setblocking(False)  # the socket's own signature
        watcher = self.watchers[connection.fileno()] = Watcher(job, started)
        self.open_[connection.fileno()] = connection
        self.poll.register(connection.fileno(), select.EPOLLIN)
        return watcher

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
        data = watcher.rest + piece
        if self.wire.upgrade and (asked := piece.find(PING)) >= 0:
            self.open_[fd].sendall(PONG + piece[asked + len(PING) :][:4])
        if watcher.following_s is None:
            self._greet(fd, watcher, data)
        self._read(watcher, data, now)

    def _greet(self, fd: int, watcher: Watcher, data: bytes) -> None:
        since = time.monotonic() - watcher.started
        for word, reply in self.wire.replies[watcher.replied :]:
            if word in data:
                self.open_[fd].sendall(text_frame(reply.replace("{job}", watcher.job)))
                watcher.replied += 1
        if watcher.greeted_s is None and self.wire.greeting.search(data):
            watcher.greeted_s = since
        if self.wire.following.search(data):
            watcher.following_s = since

    def _read(self, watcher: Watcher, data: bytes, now_ns: int) -> None:
        end = 0
        for match in self.wire.token.finditer(data):
            number, made_ns = match.groups()
            end, seq = match.end(), int(number)
            if seq < self.first_seq:
                continue
            watcher.disorder += seq != watcher.next_seq
            watcher.next_seq = seq + 1
            watcher.received += 1
            self.late_ns.append(now_ns - int(made_ns))
        watcher.rest = data[end:][-TAIL:]


def main() -> None:
    orders = heard()
    swarm = Swarm("127.0.0.1", orders["port"], WIRES[orders["wire"]])
    jobs: list[str] = orders["jobs"]
    at_once: int = orders["at_once"]
    swarm.connect(jobs[:at_once])  # the first ones pay for what is made once
    swarm.close()
    say()
    heard()
    for job in orders["deaf"]:
        swarm.connect_deaf(job)
    for start in range(0, len(jobs), at_once):
        swarm.connect(jobs[start : start + at_once])
    watchers = list(swarm.watchers.values())
    say(
        first_byte_ms=quantiles([1e3 * (each.greeted_s or 0.0) for each in watchers]),
        following_ms=quantiles([1e3 * (each.following_s or 0.0) for each in watchers]),
    )
    while order := heard():
        swarm.begin(order["first_seq"])
        say()
        expected = order["each_gets"] * len(watchers)
        swarm.listen(expected, silent_s=order["silent_s"], within_s=order["within_s"])
        say(
            received=sum(each.received for each in watchers),
            expected=expected,
            disorder=sum(each.disorder for each in watchers),
            closed=sum(each.closed for each in watchers),
            late_ms=quantiles([ns / 1e6 for ns in swarm.late_ns]),
            last_s=swarm.last_s,
        )


def quantiles(values: list[float]) -> list[float]:
    """The 50th and the 99th percentile."""
    ordered = sorted(values)
    return [ordered[int(part * (len(ordered) - 1))] if ordered else 0.0 for part in (0.5, 0.99)]


def heard() -> dict[str, Any]:
    """Empty when nobody is there any more."""
    found: dict[str, Any] = json.loads(sys.stdin.readline() or "{}")
    return found


def say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
