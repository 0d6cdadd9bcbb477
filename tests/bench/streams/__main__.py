"""Measures what live streams cost; `make bench-streams` runs it.

Every gateway gets the same streams, tokens and clients, one after the other in one run, on
loopback. Compare the ratios, and look at what others used of the machine meanwhile (`foreign`).
Without options: everything, in about ten minutes, and the targets of our design at the end. With
`--streams`, `--rate` or `--sockets`: one load of your own.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from redis.asyncio import Redis
from tests.bench.streams import knowing, streaming
from tests.bench.streams.load import Load, standing
from tests.bench.streams.publishing import publishing
from tests.bench.streams.rig import Bench, missing, opened
from tests.bench.streams.tables import (
    ROUND_COLUMNS,
    Check,
    Section,
    opened_row,
    round_row,
    shown,
    targets,
)

PARTS: Final = ("beside", "many", "replay", "publishing", "end", "back", "deaf")
THOUSAND: Final = Load(streams=1000, rate=20, seconds=10)
REPLAYED: Final = Load(streams=1000, rate=20, seconds=8)
DEAF: Final = Load(streams=900, rate=10, seconds=10, deaf=100, loud=100, loud_bytes=8192)
HEAD: Final = """\
# The speed of live streams

Written by `make bench-streams REPORT=docs/streams-speed.md` from one run; every figure is of that run.
{date}, {cores} cores, {system}, Python {python}, {versions}.

Everything runs on one machine, clients and publisher included, so compare ratios within a table. `foreign` is how many
cores others used meanwhile; `*` marks 0.5 or more, where times are the neighbours' as much as ours and CPU a token is
what still counts. A token's lateness is from when it was made until the client has it.
"""
VERSIONED: Final = ("uvicorn", "uvloop", "starlette", "redis", "hiredis", "python-socketio")


async def everything(parts: Sequence[str]) -> tuple[str, list[str]]:
    """The page, which is also told as it comes, and the parts that broke down."""
    checks: list[Check] = []
    pieces: list[str] = []
    broken: list[str] = []

    def tell(text: str) -> None:
        print(text, end="\n\n", flush=True)
        pieces.append(text)

    with TemporaryDirectory() as folder:
        async with opened(Path(folder)) as bench:
            tell(HEAD.format(**await _here(bench)).rstrip())
            for part in parts:
                try:
                    async for section in _measured(part, bench):
                        tell(shown(section))
                        checks += section.checks
                except (AssertionError, ExceptionGroup, OSError, RuntimeError) as error:
                    tell(f"## {part}\n\nNot measured, it broke down: {error!r}")
                    broken.append(part)
    tell(shown(targets(checks)))
    return "\n\n".join(pieces) + "\n", broken


async def _measured(part: str, bench: Bench) -> AsyncGenerator[Section]:
    match part:
        case "beside":
            found = await streaming.beside_others(bench, THOUSAND, streaming.GATEWAYS)
            for section in streaming.sections(found, THOUSAND):
                yield section
        case "many":
            yield await streaming.many(bench, 5000, 4, 8)
        case "replay":
            yield await streaming.replay_costs(bench, REPLAYED)
        case "publishing":
            yield await publishing(bench)
        case "end":
            folder = bench.folder / "system"
            folder.mkdir()
            yield await knowing.the_end(folder)
        case "back":
            yield await knowing.coming_back(bench)
        case _:
            yield await streaming.deaf(bench, DEAF)


async def _here(bench: Bench) -> dict[str, Any]:
    async with Redis.from_url(bench.redis) as client:
        redis = (await client.info("server"))["redis_version"]
    libraries = [f"{name} {importlib.metadata.version(name)}" for name in VERSIONED]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "versions": ", ".join([f"Redis {redis}", *libraries, *_nginx()]),
    }


def _nginx() -> list[str]:
    if missing("nchan"):
        return []
    told = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)  # noqa: S607  # whoever runs the peer chose it
    return [told.stderr.strip().rpartition("/")[2].join(["nginx ", " with nchan"])]


async def one_load(load: Load, gateways: Sequence[str]) -> None:
    print("| " + " | ".join(ROUND_COLUMNS) + " |\n|" + " --- |" * len(ROUND_COLUMNS))
    opened_ = []
    with TemporaryDirectory() as folder:
        async with opened(Path(folder)) as bench:
            for name in gateways:
                async with standing(bench, name, load) as stand:
                    told = await stand.round(load.rate, load.seconds)
                    print("| " + " | ".join(round_row(name, told)) + " |", flush=True)
                    opened_.append(opened_row(name, stand))
    print(shown(Section("Opening them", "", streaming.OPENED_COLUMNS, opened_)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-streams")
    parser.add_argument("--parts", default=",".join(PARTS), help="of the whole")
    parser.add_argument("--report", type=Path, help="a page to write")
    parser.add_argument("--streams", type=int)
    parser.add_argument("--jobs", type=int, help="as many as streams unless told otherwise")
    parser.add_argument("--rate", type=float, help="tokens a second in each stream")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--sockets", action="store_true", help="WebSocket; ours alone speaks it")
    parser.add_argument("--gateways", default=",".join(streaming.GATEWAYS))
    found = parser.parse_args()
    if not (found.streams or found.rate or found.sockets):
        page, broken = asyncio.run(everything(found.parts.split(",")))
        if found.report is not None:
            found.report.write_text(page)
        sys.exit(1 if broken else 0)
    load = Load(
        streams=found.streams or 1000,
        jobs=found.jobs,
        rate=found.rate or 20.0,
        seconds=found.seconds,
        sockets=found.sockets,
    )
    gateways = ["headrace"] if found.sockets else found.gateways.split(",")
    asyncio.run(one_load(load, [name for name in gateways if missing(name) is None]))


if __name__ == "__main__":
    main()
