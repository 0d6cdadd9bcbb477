"""What only a process itself knows of its event loop: how late it wakes up, and how many tasks it has."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

EVERY_S: Final = 0.05
A_LINE: Final = 40  # looks: one line in two seconds


@dataclass(frozen=True, slots=True)
class Vitals:
    at: float
    tasks: int
    late_ms: list[float]


def file_of(folder: Path, pid: int) -> Path:
    return folder / f"vitals-{pid}.jsonl"


def with_vitals(
    run: Callable[..., Awaitable[None]], folder: Path
) -> Callable[..., Awaitable[None]]:
    """The same, with a diary beside it."""

    async def watched(*roles: Any, **options: Any) -> None:
        async with asyncio.TaskGroup() as group:
            diary = group.create_task(_keep(file_of(folder, os.getpid())))
            try:
                await run(*roles, **options)
            finally:
                diary.cancel()

    return watched


async def _keep(path: Path) -> None:
    loop = asyncio.get_running_loop()
    with path.open("ab", buffering=0) as file:
        while True:
            late: list[float] = []
            for _ in range(A_LINE):
                due = loop.time() + EVERY_S
                await asyncio.sleep(EVERY_S)
                late.append(round(1000 * (loop.time() - due), 1))
            line = Vitals(time.time(), len(asyncio.all_tasks()), late)
            file.write(msgspec.json.encode(line) + b"\n")


def read_vitals(folder: Path, pid: int) -> list[Vitals]:
    path = file_of(folder, pid)
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Vitals) for line in lines]
