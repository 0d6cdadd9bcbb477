"""Measures what live streams cost; `make bench-streams` runs it.

Every gateway gets the same streams, tokens, publisher and clients, one after the other in one run,
on loopback: ours (a real api process, with replay and all its promises), a raw asyncio protocol
that promises nothing, a Redis connection for each client, and polling a database. Compare the
ratios, and look at what others used of the machine meanwhile (`foreign`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.bench.streams import machine
from tests.bench.streams.rig import Bench, answer, gateway, helper, opened, order, running_jobs

from headrace.testkit.fresh import fresh_prefix

GATEWAYS: Final = ("headrace", "raw", "one_connection_each", "polling")
SILENT_S: Final = 15.0  # then nothing more is coming
SETTLED_S: Final = 1.0
AT_ONCE: Final = 100
COLUMNS: Final = (
    "gateway",
    "delivered / expected",
    "disorder",
    "late p50 ms",
    "late p99 ms",
    "tokens/s",
    "server us/token",
    "server cores",
    "redis",
    "clients",
    "publisher",
    "foreign",
    "publisher late ms",
    "kB/stream",
    "first byte p50/p99 ms",
    "first event p50/p99 ms",
)


@dataclass(frozen=True, slots=True)
class Load:
    streams: int
    jobs: int
    rate: float
    seconds: float
    sockets: bool

    @property
    def each_gets(self) -> int:
        return round(self.rate * self.seconds)


async def main(load: Load, gateways: list[str]) -> None:
    print(
        f"{load.streams} {'WebSockets' if load.sockets else 'SSE streams'} on {load.jobs} jobs, "
        f"{load.rate:g} tokens/s each for {load.seconds:g} s; {os.cpu_count()} cores"
    )
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS))
    with TemporaryDirectory() as folder:
        async with opened(Path(folder)) as bench:
            for name in gateways:
                print(row(name, await measure(bench, name, load)), flush=True)


async def measure(bench: Bench, name: str, load: Load) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        prefix = (await stack.enter_async_context(fresh_prefix())).rstrip(":")
        jobs = await running_jobs(bench, prefix, load.jobs)
        server, port = await stack.enter_async_context(gateway(bench, name, prefix))
        clients = await stack.enter_async_context(helper("clients"))
        publisher = await stack.enter_async_context(helper("publisher"))
        await order(
            clients,
            port=port,
            sockets=load.sockets,
            replays=name == "headrace",
            jobs=[jobs[nth % len(jobs)] for nth in range(load.streams)],
            at_once=AT_ONCE,
            each_gets=load.each_gets,
            silent_s=SILENT_S,
        )
        await answer(clients)  # it has warmed up
        await asyncio.sleep(SETTLED_S)
        empty_kb = machine.memory_kb(server.pid)
        await order(clients)
        told = await answer(clients)
        told["kb"] = (machine.memory_kb(server.pid) - empty_kb) / load.streams
        await order(
            publisher,
            table=name == "polling",
            database=bench.database,
            redis=bench.redis,
            prefix=prefix,
            jobs=jobs,
            rate=load.rate,
            each_gets=load.each_gets,
        )
        told |= await answer(publisher)  # it begins
        pids = {
            "server": machine.family(server.pid),
            "redis": [bench.redis_pid],
            "clients": [clients.pid],
            "publisher": [publisher.pid],
        }
        before, began = machine.usage(pids), time.monotonic()
        told |= await answer(publisher)  # it has said everything
        told |= await answer(clients)
        told["took_s"] = told["last_s"] - began
        told["used"] = machine.usage(pids).since(before, told["took_s"])
        return told


def row(name: str, told: dict[str, Any]) -> str:
    used: machine.Usage = told["used"]
    cells = [
        name,
        f"{told['received']} / {told['expected']}",
        str(told["disorder"]),
        *(f"{late:.1f}" for late in told["late_ms"]),
        f"{told['received'] / told['took_s']:.0f}",
        f"{1e6 * used.by_name['server'] * told['took_s'] / max(1, told['received']):.0f}",
        *(f"{used.by_name[each]:.2f}" for each in ("server", "redis", "clients", "publisher")),
        f"{used.foreign:.2f}",
        f"{told['publisher_late_ms']:.0f}",
        f"{told['kb']:.1f}",
        " / ".join(f"{each:.0f}" for each in told["first_byte_ms"]),
        " / ".join(f"{each:.0f}" for each in told["first_event_ms"])
        if any(told["first_event_ms"])
        else "-",
    ]
    return "| " + " | ".join(cells) + " |"


def asked() -> tuple[Load, list[str]]:
    parser = argparse.ArgumentParser(prog="make bench-streams")
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--jobs", type=int, help="as many as streams unless told otherwise")
    parser.add_argument("--rate", type=float, default=20.0, help="tokens a second in each stream")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--sockets", action="store_true", help="WebSocket; ours alone speaks it")
    parser.add_argument("--gateways", default=",".join(GATEWAYS))
    found = parser.parse_args()
    load = Load(
        streams=found.streams,
        jobs=min(found.streams, found.jobs or found.streams),
        rate=found.rate,
        seconds=found.seconds,
        sockets=found.sockets,
    )
    return load, ["headrace"] if found.sockets else found.gateways.split(",")


if __name__ == "__main__":
    asyncio.run(main(*asked()))
