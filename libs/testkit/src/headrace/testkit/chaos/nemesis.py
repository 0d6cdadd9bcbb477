"""A seeded opponent: one to three faults at a time, every few seconds, then heals all of it.

The seed decides which faults, when and for how long; run it again and the same plan is followed
(what the machine makes of it in between is its own).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeAlias

import asyncpg
import psutil

from headrace.testkit.chaos.handles import (
    backends,
    full_disk,
    keep_sqlite_busy,
    lock_sqlite,
    redis_command,
)
from headrace.testkit.chaos.rig import Rig
from headrace.testkit.system import Mode

GAP_S: Final = (4.0, 8.0)  # from one set of faults to the next
LASTS_S: Final = (0.5, 6.0)
AT_ONCE: Final = 3
STARTS: Final = 5
Fault: TypeAlias = Callable[[Rig, float], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Step:
    """At `at_s` of the run, a fault of that name begins, and lasts (where it can) so long."""

    at_s: float
    fault: str
    lasts_s: float


def plan(seed: int, seconds: float, mode: Mode = "EDA") -> list[Step]:
    random = Random(seed)
    steps: list[Step] = []
    now = 2.0
    while now < seconds:
        names = random.sample(sorted(FAULTS_IN[mode]), random.randint(1, AT_ONCE))
        steps += [Step(now, name, random.uniform(*LASTS_S)) for name in names]
        now += random.uniform(*GAP_S)
    return steps


async def torment(rig: Rig, steps: Sequence[Step]) -> None:
    """Follow the plan; returns when every fault of it has been taken back."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    faults = FAULTS_IN[rig.system.mode]
    async with asyncio.TaskGroup() as group:
        for step in steps:
            await asyncio.sleep(max(0.0, began + step.at_s - loop.time()))
            rig.losses += 1  # any of them may cost a lease
            group.create_task(faults[step.fault](rig, step.lasts_s))


def _kill(name: str) -> Fault:
    async def kill(rig: Rig, lasts_s: float) -> None:
        async with rig.hands_on(name):
            await rig.end(name)
            await asyncio.sleep(min(lasts_s, 2.0))
            await _start(rig, name)

    return kill


def _terminate(name: str) -> Fault:
    async def terminate(rig: Rig, lasts_s: float) -> None:
        async with rig.hands_on(name):
            await rig.end(name, signal.SIGTERM)
            await _start(rig, name)

    return terminate


async def _start(rig: Rig, name: str) -> None:
    await rig.start(name)
    for _ in range(STARTS if name == "all" else 0):
        # Nobody stands in for it: a plan that met it only at its start would test that.
        with suppress(RuntimeError):  # it left: what it needs was away
            await rig.system.ready()
            return
        await rig.start(name)


def _freeze(name: str) -> Fault:
    async def freeze(rig: Rig, lasts_s: float) -> None:
        async with rig.hands_on(name):
            rig.pause(name)
            await asyncio.sleep(lasts_s)
            rig.resume(name)

    return freeze


def _cut(server: str, **switches: object) -> Fault:
    async def cut(rig: Rig, lasts_s: float) -> None:
        proxy = rig.proxies[server]
        async with rig.hands_on(server):
            proxy.turn(**switches)
            if switches.get("refuse"):
                proxy.reset_all()
            await asyncio.sleep(lasts_s)
            proxy.heal()

    return cut


async def _reset_everything(rig: Rig, lasts_s: float) -> None:
    for proxy in rig.proxies.values():
        proxy.reset_all()


async def _flush(rig: Rig, lasts_s: float) -> None:
    await redis_command(rig.urls["redis"], "FLUSHALL")


async def _delete_queue(rig: Rig, lasts_s: float) -> None:
    queues = sorted(name for name in await rig.broker.depths() if rig.namespace in name)
    ours = [name for name in queues if ".worker." not in name and not name.endswith(".dead")]
    if ours:
        await rig.broker.delete(rig.random.choice(ours))


async def _close_connections(rig: Rig, lasts_s: float) -> None:
    await rig.broker.close_connections()


async def _kill_backend(rig: Rig, lasts_s: float) -> None:
    with suppress(ProcessLookupError, OSError, asyncpg.PostgresError):
        for pid in (await backends(rig.urls["postgres"]))[:1]:
            os.kill(pid, signal.SIGKILL)


async def _cut_commit(rig: Rig, lasts_s: float) -> None:
    rig.postgres.turn(cut_after=b"COMMIT")


_HELD: Final = {"hold_up": True, "hold_down": True}
_EDA: Final[Mapping[str, Fault]] = {
    "kill api": _kill("api"),
    "kill dispatcher": _kill("dispatcher"),
    "kill dispatcher@2": _kill("dispatcher@2"),
    "kill worker": _kill("gpu-worker"),
    "kill worker@2": _kill("gpu-worker@2"),
    "stop worker": _terminate("gpu-worker"),
    "stop dispatcher": _terminate("dispatcher"),
    "freeze worker": _freeze("gpu-worker"),
    "freeze dispatcher": _freeze("dispatcher"),
    "freeze api": _freeze("api"),
    "rabbitmq refuses": _cut("rabbitmq", refuse=True),
    "rabbitmq silent": _cut("rabbitmq", **_HELD),
    "redis refuses": _cut("redis", refuse=True),
    "redis silent": _cut("redis", **_HELD),
    "postgres refuses": _cut("postgres", refuse=True),
    "postgres silent": _cut("postgres", **_HELD),
    "postgres slow": _cut("postgres", latency_s=0.2, jitter_s=0.15),
    "rabbitmq half-open": _cut("rabbitmq", hold_down=True),
    "reset everything": _reset_everything,
    "flush redis": _flush,
    "delete a queue": _delete_queue,
    "close connections": _close_connections,
    "kill a backend": _kill_backend,
    "cut a commit": _cut_commit,
}


async def _kill_engines(rig: Rig, lasts_s: float) -> None:
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(rig.system.processes["all"].process.pid).children():
            child.kill()


async def _freeze_loop(rig: Rig, lasts_s: float) -> None:
    """The process alone; its engines work on."""
    async with rig.hands_on("all"):
        process = rig.system.processes["all"]
        process.kill(signal.SIGSTOP)
        await asyncio.sleep(lasts_s)
        process.kill(signal.SIGCONT)


async def _lock_store(rig: Rig, lasts_s: float) -> None:
    async with rig.hands_on("store"):
        await lock_sqlite(rig.store_url, lasts_s)


async def _write_beside(rig: Rig, lasts_s: float) -> None:
    async with rig.hands_on("store"):
        await keep_sqlite_busy(rig.store_url, lasts_s)


async def _fill_disk(rig: Rig, lasts_s: float) -> None:
    async with rig.hands_on("all"):
        with full_disk(rig.system.processes["all"].process.pid):
            await asyncio.sleep(lasts_s)


_MONOLITH: Final[Mapping[str, Fault]] = {
    "kill": _kill("all"),
    "stop": _terminate("all"),
    "freeze": _freeze("all"),
    "freeze the loop": _freeze_loop,
    "kill the engines": _kill_engines,
    "lock the store": _lock_store,
    "write beside it": _write_beside,
    "fill the disk": _fill_disk,
}
FAULTS_IN: Final[Mapping[Mode, Mapping[str, Fault]]] = {"EDA": _EDA, "MONOLITH": _MONOLITH}
