"""Measures what a collector that is down or silent costs a job; `make bench-telemetry` runs it.

One system a case, all of them up, and a job of each in turn, so that what else the machine does meets all of
them alike. Reported is the ratio of medians to the case without an endpoint, the spans that were given up,
and how long leaving took.
"""

from __future__ import annotations

import asyncio
import re
import socket
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx

from headrace.testkit.client import User
from headrace.testkit.collector import collecting
from headrace.testkit.system import System, running

DROPPED: Final = re.compile(r"^headrace_spans_dropped_total\{.*\} ([0-9.e+]+)$", re.MULTILINE)


@dataclass(slots=True)
class Case:
    name: str
    took_s: list[float] = field(default_factory=list)
    left_s: float = 0.0
    dropped: float = 0.0


@contextmanager
def an_endpoint(name: str) -> Iterator[str]:
    match name:
        case "no endpoint":
            yield ""
        case "a collector":
            with collecting() as collector:
                yield collector.endpoint
        case "nobody listens":
            yield "http://127.0.0.1:9"
        case _:  # it takes the connection and never answers
            with socket.create_server(("127.0.0.1", 0), backlog=1024) as hole:
                yield f"http://127.0.0.1:{hole.getsockname()[1]}"


@dataclass(frozen=True, slots=True)
class Stand:
    """A system of a case, and its user."""

    case: Case
    system: System
    user: User


@asynccontextmanager
async def stands(cases: list[Case]) -> AsyncGenerator[list[Stand]]:
    """All of them at once, each idle while another has its turn."""
    async with AsyncExitStack() as stack:
        found = []
        for case in cases:
            endpoint = stack.enter_context(an_endpoint(case.name))
            folder = Path(stack.enter_context(TemporaryDirectory()))
            system = await stack.enter_async_context(
                running("MONOLITH", folder, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
            )
            http = httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=60)
            user = User(await stack.enter_async_context(http))
            await one(user)  # the first pays for imports
            found.append(Stand(case, system, user))
        yield found


async def see_off(stand: Stand) -> None:
    told = (await stand.user.http.get("/metrics")).text
    stand.case.dropped = sum(float(value) for value in DROPPED.findall(told))
    began = time.monotonic()
    await stand.system.stop()
    stand.case.left_s = time.monotonic() - began


async def one(user: User) -> float:
    began = time.monotonic()
    job = await user.submit("echo", input={"text": "one two three"})
    seen = await user.watch(job)
    assert seen[-1].type == "succeeded", seen[-1]
    return time.monotonic() - began


async def main(jobs: int) -> None:
    names = ("no endpoint", "a collector", "nobody listens", "a black hole")
    cases = [Case(name) for name in names]
    async with stands(cases) as here:
        for _ in range(jobs):
            for stand in here:
                stand.case.took_s.append(await one(stand.user))
        for stand in here:
            await see_off(stand)
    base = cases[0]
    print(f"{jobs} jobs each, in turn; from the request to the end of the stream")
    print(f"{'':<16}{'median':>10}{'p95':>10}{'ratio':>8}{'dropped':>9}{'leaving':>10}")
    for case in cases:
        median = statistics.median(case.took_s)
        p95 = statistics.quantiles(case.took_s, n=20)[-1]
        ratio = median / statistics.median(base.took_s)
        print(
            f"{case.name:<16}{median * 1000:>7.1f} ms{p95 * 1000:>7.1f} ms{ratio:>8.2f}"
            f"{case.dropped:>9.0f}{case.left_s:>8.2f} s"
        )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 120))
