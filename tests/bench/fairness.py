"""Measures what one tenant's 10,000 queued jobs cost another's single job; `make fairness` runs it.

Everything is timed by the store's clock (`waited_s`: from when a job could have run to when it did),
in both modes, with as many jobs as the first argument says.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx

from headrace.testkit.client import User
from headrace.testkit.system import MODES, Mode, System, running
from headrace.testkit.waits import eventually

COUNTED_TO: Final = 1000  # a position further back is not told
PROBES: Final = 20
SUBMITTERS: Final = 8
PATIENCE_S: Final = 120.0
KEYS: Final = "heavy:key-of-heavy,light:key-of-light"
PIECE: Final = {"text": "a b c d e", "delay_s": 0.02}  # a tenth of a second of work


async def main(jobs: int) -> None:
    print(f"| {'':52} | wait p50 s | wait max s |\n| {'-' * 52} | ---------- | ---------- |")
    for mode in MODES:
        with TemporaryDirectory() as folder:
            async with running(
                mode,
                Path(folder),
                API_KEYS=KEYS,
                ADMIN_KEY="key-of-admin",
                SLOTS="echo=2",
                MAX_QUEUED_PER_TENANT=str(2 * jobs),
                LOG_LEVEL="WARNING",
            ) as system:
                await measure(system, mode, jobs)


async def measure(system: System, mode: Mode, jobs: int) -> None:
    async with (
        user(system, "heavy") as heavy,
        user(system, "light") as light,
        user(system, "admin") as admin,
    ):
        report(f"{mode}: 1 job in an empty system", await probe(light))
        began = time.monotonic()
        await fill(heavy, jobs)
        print(
            f"| {f'{mode}: {jobs} submitted in {time.monotonic() - began:.0f} s':52} | {'':10} | {'':10} |"
        )
        report(f"{mode}: 1 job beside {jobs} of another tenant", await probe(light))
        report(f"{mode}: priority 10 in the long queue itself", await probe(heavy, priority=10))
        last = await submit(heavy)
        said = (await heavy.get(last, "/explain"))["queue_position"]
        before = f"{said}+ jobs" if said == COUNTED_TO else f"{said} jobs"
        print(
            f"| {f'{mode}: priority 0 at the end of it has before it':52} | {before:>10} | {'':10} |"
        )
        await pause(admin, light, mode)


async def pause(admin: User, light: User, mode: Mode) -> None:
    await lane(admin, "pause")
    job = await submit(light)

    async def idle() -> bool:
        said = await light.get(job, "/explain")
        return bool(said["rule"] == "lane_paused" and said["running_in_lane"] == 0)

    await eventually(idle, within=PATIENCE_S, every=0.1)
    print(f"| {f'{mode}: paused: what ran ended, nothing started':52} | {'':10} | {'':10} |")
    resumed = time.monotonic()
    await lane(admin, "resume")
    await light.until(job, "started")
    report(f"{mode}: resumed: until that job started", [time.monotonic() - resumed])


async def probe(user: User, **fields: Any) -> list[float]:
    """One after the other, so that each is the only one of its kind."""
    return [await wait_of(user, await submit(user, **fields)) for _ in range(PROBES)]


async def wait_of(user: User, job: Any) -> float:
    await user.watch(job)
    (attempt,) = (await user.get(job, "/timeline"))["attempts"]
    return float(attempt["waited_s"])


async def fill(user: User, jobs: int) -> None:
    left = iter(range(jobs))

    async def submit_some() -> None:
        for _ in left:
            await submit(user)

    async with asyncio.TaskGroup() as group:
        for _ in range(SUBMITTERS):
            group.create_task(submit_some())


async def submit(user: User, **fields: Any) -> Any:
    return await user.submit("echo", input=PIECE, **fields)


async def lane(admin: User, verb: str) -> None:
    (await admin.http.post(f"/admin/lanes/echo/{verb}")).raise_for_status()


def report(what: str, waits: list[float]) -> None:
    print(f"| {what:52} | {statistics.median(waits):10.3f} | {max(waits):10.3f} |", flush=True)


@asynccontextmanager
async def user(system: System, name: str) -> AsyncGenerator[User]:
    async with httpx.AsyncClient(
        base_url=system.url,
        headers={"apikey": f"key-of-{name}"},
        trust_env=False,
        timeout=PATIENCE_S,
    ) as http:
        yield User(http)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
