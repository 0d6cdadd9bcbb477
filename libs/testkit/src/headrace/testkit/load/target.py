"""Whom the load is for: a service that somebody names, or a stack of our own on this machine."""

from __future__ import annotations

import json
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.testkit.load.campaigns import CROWD, Campaign
from headrace.testkit.load.orders import LOAD, NOISY
from headrace.testkit.load.settings import LoadSettings
from headrace.testkit.system import SHIPPED, System, running

ADMIN: Final = "key-of-admin"
KEYS: Final = {LOAD: "key-of-load", NOISY: "key-of-noisy"}
LEASE_S: Final = 10.0
CHUNKS: Final = 20
CHUNK_EVERY_S: Final = 1.0
ANSWER_WITHIN_S: Final = 30
_OWN: Final = {
    "API_KEYS": ",".join(f"{tenant}:{key}" for tenant, key in KEYS.items()),
    "ADMIN_KEY": ADMIN,
    "SLOTS": "echo=4",
    "LEASE_S": f"{LEASE_S:g}",
    "MAX_QUEUED_PER_TENANT": "20000",
    "LOG_LEVEL": "WARNING",
}


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    keys: dict[str, str]
    admin_key: str
    system: System | None = None  # ours
    crowd_port: int = 0

    @property
    def own(self) -> System:
        assert self.system is not None
        return self.system


class CannotRun(Exception):
    """This campaign has something to ask for first."""


@asynccontextmanager
async def target_of(
    settings: LoadSettings, campaign: Campaign, folder: Path, *, module: str = SHIPPED
) -> AsyncGenerator[Target]:
    if settings.url:
        _must_be_possible(settings, campaign)
        yield Target(settings.url, settings.keys, settings.admin_key)
        return
    async with running(
        settings.mode, folder, kinds=1, module=module, **{**_OWN, **campaign.settings}
    ) as system:
        for number in range(2, campaign.workers + 1):
            await system.start(f"gpu-worker@{number}")
        if any(CROWD in stage.who for stage in campaign.stages):
            async with _crowd(system) as port:
                yield Target(system.url, KEYS, ADMIN, system, port)
        else:
            yield Target(system.url, KEYS, ADMIN, system)


def _must_be_possible(settings: LoadSettings, campaign: Campaign) -> None:
    given = {"NOISY_KEY": settings.keys[NOISY], "ADMIN_KEY": settings.admin_key}
    if campaign.needs and not any(key for name, key in given.items() if name in campaign.needs):
        raise CannotRun(f"{campaign.name} needs {campaign.needs}")


@asynccontextmanager
async def _crowd(system: System) -> AsyncGenerator[int]:
    """The process that answers conversations; yields its port."""
    if "REDIS_URL" not in system.env:
        raise CannotRun("stream-crowd needs a Redis, which MODE=MONOLITH has none of")
    process = await create_subprocess_exec(
        sys.executable, "-m", "headrace.testkit.load.crowd", stdin=PIPE, stdout=PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    orders = {
        "redis": system.env["REDIS_URL"],
        "namespace": system.env["NAMESPACE"],
        "chunks": CHUNKS,
        "every_s": CHUNK_EVERY_S,
    }
    process.stdin.write(json.dumps(orders).encode() + b"\n")
    try:
        yield int(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
