"""A team's rollout, played: many tenants at a constant pace on three apis, stage by stage and back.

Two monoliths with local roles and one thin api stand on one store, Redis and broker, beside one
dispatcher and one worker of EDA. Every job is watched and written into the ledger.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx

from headrace.contracts.ids import TenantId
from headrace.core.ports.paths import DISTRIBUTED, LOCAL
from headrace.core.rollout import Rollout
from headrace.testkit.chaos.clients import Crowd
from headrace.testkit.chaos.rig import House, Rig, rig
from headrace.testkit.system import free_port
from headrace.testkit.waits import eventually

ADMIN: Final = {"apikey": "key-of-admin", "X-Operator": "ann"}
INTERNAL: Final = "club-0"
REPLICAS: Final = 3
MONOLITH: Final = {"EXECUTION_MODE": "MONOLITH"}
STAGES: Final[Sequence[tuple[str, Mapping[str, Any] | None]]] = (
    ("0 %", {"percent": 0, "internal": []}),
    ("internal", {"internal": [INTERNAL]}),
    ("1 %", {"percent": 1}),
    ("10 %", {"percent": 10}),
    ("50 %", {"percent": 50}),
    ("100 %", {"percent": 100}),
    ("back", None),  # in one go
)
_FACTS: Final = """
    SELECT id, path, state, extract(epoch FROM started_at - created_at)::float8 AS wait_s,
           extract(epoch FROM finished_at - created_at)::float8 AS whole_s
    FROM jobs WHERE id = ANY($1) AND shadow_of IS NULL
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A job, and the path that its stage's rollout says for its tenant."""

    job: str
    expected: str


@dataclass(frozen=True, slots=True)
class Told:
    """How one path did in a stage."""

    jobs: int
    failed: int
    wait_p50_s: float
    whole_p50_s: float
    whole_p95_s: float


@dataclass(slots=True)
class Stage:
    name: str
    effect_s: float  # from the command to the last of the apis that applied it
    asked: list[Asked] = field(default_factory=list)
    paths: dict[str, Told] = field(default_factory=dict)
    astray: list[str] = field(default_factory=list)  # jobs that took another path than expected

    @property
    def expected(self) -> int:
        """On the new path."""
        return sum(each.expected == DISTRIBUTED for each in self.asked)


@dataclass(slots=True)
class Team:
    """Tenants who submit in turns, each time by the next api; and an operator."""

    here: Rig
    doors: list[httpx.AsyncClient]  # one an api, for the operator
    crowds: list[list[Crowd]]  # by api, then by tenant
    tenants: list[TenantId]
    per_s: float
    rollout: Rollout = field(default_factory=Rollout)  # as it was answered last
    _turns: Iterator[tuple[int, int]] | None = None

    async def change(self, asked: Mapping[str, Any] | None) -> float:
        """None: back. Answers when every api applied it, in seconds since it was sent."""
        began = time.monotonic()
        door = self.doors[self.rollout.version % len(self.doors)]
        if asked is None:
            answer = await door.post("/admin/rollout/rollback", headers=ADMIN)
            self.note(answer.raise_for_status().json())
        else:
            await self.put(asked, door)

        async def applied() -> bool:
            versions = await self._versions()
            assert len(versions) == REPLICAS, versions
            return min(versions) >= self.rollout.version

        await eventually(applied, within=10, every=0.02)
        return time.monotonic() - began

    async def put(self, asked: Mapping[str, Any], door: httpx.AsyncClient | None = None) -> None:
        """It is in the store when this returns; nobody need apply it yet."""
        door = door or self.doors[0]
        answer = await door.put("/admin/rollout", json=dict(asked), headers=ADMIN)
        assert answer.is_success, answer.text
        self.note(answer.json())

    def note(self, found: Mapping[str, Any]) -> None:
        self.rollout = Rollout(
            version=found["version"],
            percent=found["percent"],
            internal=tuple(map(TenantId, found["internal"])),
            kinds=found["kinds"],
        )

    async def _versions(self) -> list[int]:
        connection = await asyncpg.connect(self.here.store_url, timeout=5)
        try:
            rows = await connection.fetch("SELECT version FROM replicas")
        finally:
            await connection.close(timeout=5)
        return [row["version"] for row in rows]

    async def show(self) -> dict[str, Any]:
        answer = await self.doors[0].get("/admin/rollout", headers=ADMIN)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    async def command(self, *arguments: str) -> str:
        """`headrace rollout ...`, as an operator would type it; what it prints."""
        told = {"HEADRACE_URL": str(self.doors[0].base_url), "HEADRACE_KEY": ADMIN["apikey"]}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "headrace.launch", "rollout", *arguments),
            env={"PATH": self.here.system.env["PATH"], **told},
            cwd=self.here.system.folder,
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(40):
            out, _ = await process.communicate()
        return out.decode()

    async def submit(self, **given: Any) -> Asked:
        """Of the next tenant at the next api, watched to its end."""
        self._turns = self._turns or cycle(
            [(tenant % REPLICAS, tenant) for tenant in range(len(self.tenants))]
        )
        api, tenant = next(self._turns)
        crowd = self.crowds[api][tenant]
        expected = self.rollout.path(self.tenants[tenant], "ledger")
        job = await crowd.submit(**{"words": 3, "delay_s": 0.02, **given})
        self.here.watchers.create_task(crowd.watch(job))
        return Asked(job, expected)

    async def work(self, jobs: int, **given: Any) -> list[Asked]:
        """At a constant pace, however long each takes."""
        async with asyncio.TaskGroup() as group:
            asked = []
            for _ in range(jobs):
                asked.append(group.create_task(self.submit(**given)))
                await asyncio.sleep(1 / self.per_s)
        return [each.result() for each in asked]

    async def facts(self, asked: Sequence[Asked]) -> list[Any]:
        connection = await asyncpg.connect(self.here.store_url, timeout=5)
        try:
            return list(await connection.fetch(_FACTS, [each.job for each in asked]))
        finally:
            await connection.close(timeout=5)

    async def see_ends(self) -> None:
        for crowds in self.crowds:
            for crowd in crowds:
                await crowd.see_ends()


@asynccontextmanager
async def team(
    house: House, folder: Path, *, tenants: int, per_s: float, **env: str
) -> AsyncGenerator[Team]:
    names = [TenantId(f"club-{number}") for number in range(tenants)]
    told = {
        "API_KEYS": ",".join(f"{name}:key-of-{name}" for name in names),
        "ADMIN_KEY": ADMIN["apikey"],
        "SLOTS": "ledger=6",
        "LEASE_S": "10",  # on a busy machine too: this is about no lease
        **env,
    }
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(rig(house, folder, env=told))
        urls = [here.system.url]
        for name in ("all", "all@2"):
            port = free_port()
            await here.start(name, **MONOLITH, PORT=str(port))
            urls.append(f"http://127.0.0.1:{port}")
        trust = ssl.create_default_context()
        doors = [await stack.enter_async_context(_client(url, trust)) for url in urls]
        crowds = [
            [
                Crowd(
                    await stack.enter_async_context(_client(url, trust, apikey=f"key-of-{name}")),
                    here.ledger,
                    here.random,
                    name=f"{name}@{api}#",
                )
                for name in names
            ]
            for api, url in enumerate(urls)
        ]
        for door in doors:
            await eventually(partial(_attended, door), within=60, every=0.2)
        yield Team(here, doors, crowds, names, per_s)


async def _attended(door: httpx.AsyncClient) -> bool:
    try:
        answer = await door.get("/admin/rollout", headers=ADMIN)
    except httpx.TransportError:
        return False
    found = answer.json() if answer.is_success else {"paths": [], "replicas": []}
    there = all(path["attended"] for path in found["paths"])
    return there and len(found["replicas"]) == REPLICAS


def _client(url: str, trust: ssl.SSLContext, **headers: str) -> httpx.AsyncClient:
    everyone = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(
        base_url=url, trust_env=False, timeout=20, limits=everyone, headers=headers, verify=trust
    )


async def roll(here: Team, jobs: int) -> list[Stage]:
    """Through all stages, so many jobs in each; some are long, so that every change meets work in flight."""
    stages = []
    for name, asked in STAGES:
        effect_s = await here.change(asked)
        stage = Stage(name, effect_s)
        stage.asked += await here.work(jobs)
        stage.asked += await here.work(2, words=40, delay_s=0.05)  # still runs when the next comes
        stages.append(stage)
    await here.here.drained()
    for stage in stages:
        await _judge(here, stage)
    return stages


async def _judge(here: Team, stage: Stage) -> None:
    rows = await here.facts(stage.asked)
    expected = {each.job: each.expected for each in stage.asked}
    stage.astray = [row["id"] for row in rows if row["path"] != expected[row["id"]]]
    for path in (LOCAL, DISTRIBUTED):
        mine = [row for row in rows if row["path"] == path]
        if mine:
            stage.paths[path] = _told(mine)


def _told(rows: Sequence[Any]) -> Told:
    states = Counter(row["state"] for row in rows)
    whole = sorted(row["whole_s"] for row in rows)
    waits = sorted(row["wait_s"] for row in rows)
    return Told(
        jobs=len(rows),
        failed=len(rows) - states["succeeded"],
        wait_p50_s=waits[len(waits) // 2],
        whole_p50_s=whole[len(whole) // 2],
        whole_p95_s=whole[int(len(whole) * 0.95)],
    )


def table(stages: Sequence[Stage]) -> str:
    head = (
        "| stage | in force after | jobs | on distributed (expected) | astray | failed | "
        "local: waits, p50, p95 | distributed: waits, p50, p95 |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    return "\n".join([head, *(_row(stage) for stage in stages)])


def _row(stage: Stage) -> str:
    new = stage.paths.get(DISTRIBUTED)
    failed = sum(told.failed for told in stage.paths.values())
    return (
        f"| {stage.name} | {stage.effect_s:.2f} s | {len(stage.asked)} |"
        f" {new.jobs if new else 0} ({stage.expected}) | {len(stage.astray)} | {failed} |"
        f" {_times(stage.paths.get(LOCAL))} | {_times(new)} |"
    )


def _times(told: Told | None) -> str:
    if told is None:
        return "-"
    return f"{told.wait_p50_s:.2f} s, {told.whole_p50_s:.2f} s, {told.whole_p95_s:.2f} s"
