"""One gateway under load: streams that stand, and rounds of tokens through them, measured."""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from tests.bench.streams import machine
from tests.bench.streams.rig import Bench, answer, gateway, helper, order, running_jobs
from tests.bench.streams.ways import Where
from tests.bench.streams.wire import FIRST_TOKEN, WIRES

from headrace.testkit.fresh import fresh_prefix

SETTLED_S: Final = 1.0
AT_ONCE: Final = 100
SILENT_S: Final = 5.0  # then nothing more is coming
LATE_AT_MOST_S: Final = 10.0
WAY_OF: Final[Mapping[str, str]] = {"polling": "table", "socketio": "socketio", "nchan": "http"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    streams: int
    rate: float = 20.0  # tokens a second in each
    seconds: float = 10.0
    jobs: int | None = None  # fewer than streams: several watch the same
    sockets: bool = False
    replay: bool = True
    deaf: int = 0  # clients more, who never read
    loud: int = 0  # jobs more, whose tokens are large
    loud_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Round:
    """What one round showed; rates of CPU are in cores."""

    rate: float
    received: int
    expected: int
    disorder: int
    closed: int
    late_ms: tuple[float, float]  # p50, p99
    publisher_late_ms: float
    took_s: float
    used: Mapping[str, float]  # by process
    foreign: float
    memory_kb: int  # of the gateway, afterwards

    @property
    def tokens_per_s(self) -> float:
        return self.received / self.took_s

    @property
    def us_per_token(self) -> float:
        return 1e6 * self.used["server"] * self.took_s / max(1, self.received)

    @property
    def whole(self) -> bool:
        return self.received == self.expected and self.disorder == 0


@dataclass(slots=True)
class Standing:
    """A gateway with its streams open."""

    name: str
    streams: int
    server: Process
    clients: Process
    publisher: Process
    redis_pid: int
    kb_per_stream: float
    memory_kb: int
    connect_ms: float  # of the gateway's CPU, a stream
    first_byte_ms: tuple[float, float]
    following_ms: tuple[float, float]
    said: int = field(default=0)  # tokens in each stream so far

    async def round(self, rate: float, seconds: float) -> Round:
        each_gets, first = max(1, round(rate * seconds)), FIRST_TOKEN + self.said
        self.said += each_gets
        await order(
            self.clients,
            first_seq=first,
            each_gets=each_gets,
            silent_s=SILENT_S,
            within_s=seconds + LATE_AT_MOST_S,
        )
        await answer(self.clients)  # it listens
        await order(self.publisher, rate=rate, first_seq=first, each_gets=each_gets)
        await answer(self.publisher)  # it begins
        before, began = machine.usage(self._pids()), time.monotonic()
        told = await answer(self.publisher)  # it has said everything
        told |= await answer(self.clients)
        over = max(told.pop("last_s"), began + 0.1)
        now = time.monotonic()
        used = machine.usage(self._pids()).since(before, now - began)
        return Round(
            rate=rate,
            received=told["received"],
            expected=told["expected"],
            disorder=told["disorder"],
            closed=told["closed"],
            late_ms=tuple(told["late_ms"]),
            publisher_late_ms=told["publisher_late_ms"],
            took_s=over - began,
            used=used.by_name,
            foreign=used.foreign,
            memory_kb=_memory_kb(self.server),
        )

    def _pids(self) -> dict[str, list[int]]:
        return {
            "server": machine.family(self.server.pid),
            "redis": [self.redis_pid],
            "clients": [self.clients.pid],
            "publisher": [self.publisher.pid],
        }


@asynccontextmanager
async def standing(bench: Bench, name: str, load: Load) -> AsyncGenerator[Standing]:
    """A fresh gateway on jobs of its own, with every stream open and nothing said yet."""
    async with AsyncExitStack() as stack:
        prefix = (await stack.enter_async_context(fresh_prefix())).rstrip(":")
        count = min(load.streams, load.jobs or load.streams)
        jobs = await running_jobs(bench, prefix, count + load.loud)
        quiet, loud = jobs[:count], jobs[count:]
        server, port = await stack.enter_async_context(gateway(bench, name, prefix))
        clients = await stack.enter_async_context(helper("clients"))
        publisher = await stack.enter_async_context(helper("publisher"))
        where = Where(bench.redis, bench.database, prefix, port, loud, load.loud_bytes)
        await order(publisher, way=_way(name, load), where=asdict(where), jobs=[*quiet, *loud])
        await answer(publisher)
        told = await _connected(clients, server, port, name, load, (quiet, loud))
        yield Standing(name, load.streams, server, clients, publisher, bench.redis_pid, **told)


async def _connected(  # each is needed, and they have nothing else in common
    clients: Process,
    server: Process,
    port: int,
    name: str,
    load: Load,
    jobs: tuple[Sequence[str], Sequence[str]],
) -> dict[str, Any]:
    quiet, loud = jobs
    await order(
        clients,
        port=port,
        wire=_wire(name, load),
        jobs=[quiet[nth % len(quiet)] for nth in range(load.streams)],
        deaf=[loud[nth % len(loud)] for nth in range(load.deaf)],
        at_once=AT_ONCE,
    )
    await answer(clients)  # it has warmed up
    await asyncio.sleep(SETTLED_S)
    empty_kb = _memory_kb(server)
    before = machine.cpu_s(machine.family(server.pid))
    await order(clients, go=True)
    told = await answer(clients)
    used_s = machine.cpu_s(machine.family(server.pid)) - before
    memory_kb = _memory_kb(server)
    return {
        "kb_per_stream": (memory_kb - empty_kb) / (load.streams + load.deaf),
        "memory_kb": memory_kb,
        "connect_ms": 1e3 * used_s / (load.streams + load.deaf),
        "first_byte_ms": tuple(told["first_byte_ms"]),
        "following_ms": tuple(told["following_ms"]),
    }


def _memory_kb(server: Process) -> int:
    return sum(machine.memory_kb(pid) for pid in machine.family(server.pid))


def _wire(name: str, load: Load) -> str:
    if load.sockets:
        return "websocket"
    return name if name in WIRES else "sse"


def _way(name: str, load: Load) -> str:
    return WAY_OF.get(name, "log" if load.replay else "plain")
