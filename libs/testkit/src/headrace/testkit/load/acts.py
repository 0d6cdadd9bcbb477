"""What is done to the service while it is loaded, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

import asyncpg
import httpx

from headrace.testkit.load.orders import NOISY
from headrace.testkit.load.rows import Happened, now
from headrace.testkit.load.target import CannotRun, Target

VICTIM: Final = "gpu-worker@2"
KILLED: Final = "one of two workers killed"
FLIPS: Final = (0, 50, 100, 0)  # percent of the tenants on the distributed path
_RUN_AGAIN: Final = """
    SELECT again.started_at FROM attempts AS again
    JOIN attempts AS first ON first.job = again.job AND first.attempt = again.attempt - 1
    WHERE first.worker <> again.worker AND first.outcome IS DISTINCT FROM 'succeeded'
"""

# How many jobs of the flood began while one of its neighbour's waited; jobs that came in the flood's time.
_WENT_FIRST: Final = """
    SELECT percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY first) FROM (
        SELECT (SELECT count(*) FROM jobs AS flood WHERE flood.tenant = $1
                AND flood.started_at > mine.created_at AND flood.started_at < mine.started_at) AS first
        FROM jobs AS mine WHERE mine.tenant <> $1 AND mine.started_at IS NOT NULL
        AND mine.created_at > (SELECT min(created_at) FROM jobs WHERE tenant = $1)
    ) AS counted
"""

Note: TypeAlias = Callable[[str], None]
Facts: TypeAlias = dict[str, float]
# Goes on beside a load of so many seconds.
Act: TypeAlias = Callable[[Target, Note, float], Awaitable[None]]
# Afterwards: what it did to the jobs.
Sequel: TypeAlias = Callable[[Target, list[Happened]], Awaitable[Facts]]


async def kill_a_worker(target: Target, note: Note, seconds: float) -> None:
    """In the middle, without a chance to say goodbye."""
    await asyncio.sleep(seconds / 2)
    target.own.processes[VICTIM].kill()
    note(KILLED)


async def back_again(target: Target, happened: list[Happened]) -> Facts:
    """How many jobs ran on it, and when the last of them had begun elsewhere."""
    killed = next(each.at for each in happened if each.what == KILLED)
    connection = await asyncpg.connect(target.own.env["DATABASE_URL"], timeout=5)
    try:
        rows = await connection.fetch(_RUN_AGAIN)
    finally:
        await connection.close(timeout=5)
    later = [_seconds(row["started_at"]) - killed for row in rows]
    return {"interrupted": len(later), **({"recovery s": max(later)} if later else {})}


async def went_first(target: Target, happened: list[Happened]) -> Facts:
    """In jobs, since in seconds it depends on the machine; of a stack of our own."""
    if target.system is None or target.system.mode != "EDA":
        return {}
    connection = await asyncpg.connect(target.own.env["DATABASE_URL"], timeout=5)
    try:
        found = await connection.fetchval(_WENT_FIRST, NOISY)
    finally:
        await connection.close(timeout=5)
    return (
        {}
        if found is None
        else {f"jobs that went first p{p}": n for p, n in zip((50, 95), found, strict=True)}
    )


async def flip(target: Target, note: Note, seconds: float) -> None:
    """Nobody, half of the tenants, all of them, nobody; a quarter of the time each."""
    async with _operator(target) as http:
        for percent in FLIPS:
            answer = await http.put("/admin/rollout", json={"percent": percent})
            if not answer.is_success:
                raise CannotRun(f"PUT /admin/rollout says {answer.status_code}: {answer.text}")
            note(f"{percent} % distributed")
            await asyncio.sleep(seconds / len(FLIPS))


async def both_paths(target: Target, happened: list[Happened]) -> Facts:
    """How many jobs took each path of late, as the service tells it."""
    async with _operator(target) as http:
        paths = (await http.get("/admin/rollout")).raise_for_status().json()["paths"]
    return {f"jobs on the {each['path']} path": each["submitted"] for each in paths}


def _operator(target: Target) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=target.url, headers={"apikey": target.admin_key}, trust_env=False, timeout=20
    )


def _seconds(at: Any) -> float:
    """The store's clock is this machine's, where the store is."""
    read = datetime.fromisoformat(at) if isinstance(at, str) else at
    return float(read.timestamp())


ACTS: Final[Mapping[str, tuple[Act | None, Sequel]]] = {
    "noisy-neighbour": (None, went_first),
    "worker-loss": (kill_a_worker, back_again),
    "mode-flip": (flip, both_paths),
}


def noting(into: list[Happened]) -> Note:
    return lambda what: into.append(Happened(now(), what))
