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

import httpx

from headrace.testkit.load.campaigns import CROWD, OWN_STACK, Campaign
from headrace.testkit.load.orders import NOISY
from headrace.testkit.load.settings import LoadSettings
from headrace.testkit.system import SHIPPED, System, free_port, running
from headrace.testkit.waits import eventually

ADMIN: Final = "key-of-admin"
TENANTS: Final = 8
KEYS: Final = {
    name: f"key-of-{name}" for name in (*(f"load-{n}" for n in range(1, TENANTS + 1)), NOISY)
}
LEASE_S: Final = 10.0
CHUNKS: Final = 30
CHUNK_EVERY_S: Final = 1.0
ANSWER_WITHIN_S: Final = 60.0
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
    if campaign.needs == OWN_STACK and settings.mode != "EDA":
        raise CannotRun(f"{campaign.name} needs {campaign.needs}")
    async with running(
        settings.mode, folder, kinds=1, module=module, **{**_OWN, **campaign.settings}
    ) as system:
        for name in campaign.roles:
            await system.start(name)
        if campaign.both_modes:
            await _the_other_mode(system)
        async with _crowd(system, campaign) as port:
            yield Target(system.url, KEYS, ADMIN, system, port)


def _must_be_possible(settings: LoadSettings, campaign: Campaign) -> None:
    given = {"NOISY_KEY": settings.keys[NOISY], "ADMIN_KEY": settings.admin_key}
    if campaign.needs and not any(key for name, key in given.items() if name in campaign.needs):
        raise CannotRun(f"{campaign.name} needs {campaign.needs}")


async def _the_other_mode(system: System) -> None:
    """One process of all roles on the same servers, so that the local path is served too."""
    if system.mode != "EDA":
        raise CannotRun("both paths need the servers of MODE=EDA")
    await system.start("all", EXECUTION_MODE="MONOLITH", PORT=str(free_port()))
    async with httpx.AsyncClient(
        base_url=system.url, headers={"apikey": ADMIN}, trust_env=False
    ) as http:

        async def attended() -> bool:
            answer = await http.get("/admin/rollout")
            answer.raise_for_status()
            return all(each["attended"] for each in answer.json()["paths"])

        await eventually(attended, within=ANSWER_WITHIN_S, every=0.5)


@asynccontextmanager
async def _crowd(system: System, campaign: Campaign) -> AsyncGenerator[int]:
    """The process that answers conversations, where there are any; yields its port."""
    if not any(CROWD in stage.who for stage in campaign.stages):
        yield 0
        return
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
