"""The whole system on servers of its own, each behind a proxy; several processes a role."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx

from headrace.testkit.chaos.checker import Bounds, Evidence, Judgement, judge
from headrace.testkit.chaos.clients import Crowd
from headrace.testkit.chaos.effects import Broker, Effects, read_store
from headrace.testkit.chaos.ledger import ClientLedger, read_clients, read_executions
from headrace.testkit.chaos.proxy import Proxy
from headrace.testkit.chaos.settings import EXECUTIONS
from headrace.testkit.fresh import fresh_database, fresh_name, fresh_vhost
from headrace.testkit.own import postgres_daemon, rabbitmq_daemon, redis_daemon
from headrace.testkit.servers import Daemon, Server
from headrace.testkit.system import Mode, Proc, System, free_port
from headrace.testkit.waits import eventually

BUILD: Final = "headrace.testkit.chaos.build"
LEASE_S: Final = 3
DRAINED_WITHIN_S: Final = 75.0
SETTLED_WITHIN_S: Final = 15.0
LOOK_EVERY_S: Final = 0.5
PROBE_PRIORITY: Final = 100
RECOVERED_WITHIN_S: Final = 30.0  # what is promised
CLIENTS: Final = "clients.jsonl"


@dataclass(frozen=True, slots=True)
class House:
    """One RabbitMQ, Redis and PostgreSQL of the rig's own, for as many systems as come."""

    rabbitmq: Daemon
    redis: Daemon
    postgres: Daemon

    def but(self, **urls: str) -> House:
        """The same with other servers, whose lives are their owners' business."""
        others = {name: replace(getattr(self, name), url=url) for name, url in urls.items()}
        return replace(self, **others)

    def open(self) -> None:
        for daemon in (self.rabbitmq, self.redis, self.postgres):
            daemon.start()

    def close(self) -> None:
        for daemon in (self.rabbitmq, self.redis, self.postgres):
            daemon.kill()


def recoveries(folder: Path) -> list[float]:
    """Of the rig that ran there, if one did."""
    written = folder / CLIENTS
    return read_clients(written).recovered_s if written.exists() else []


def house_in(folder: Path) -> House:
    return House(rabbitmq_daemon(folder), redis_daemon(folder), postgres_daemon(folder))


@dataclass(slots=True)
class Rig:
    system: System
    crowd: Crowd
    ledger: ClientLedger
    proxies: dict[str, Proxy]
    servers: dict[str, Server]
    urls: dict[str, str]  # past the proxies
    store_url: str
    watchers: asyncio.TaskGroup
    losses: int = 0
    dead_letters: int = 0
    broker_left: bool = False  # nobody listens to it any more: what lies there stays there
    random: Random = field(default_factory=Random)
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def hands_on(self, name: str) -> asyncio.Lock:
        """One fault at a time for a process or a link."""
        return self._locks[name]

    @property
    def rabbitmq(self) -> Proxy:
        return self.proxies["rabbitmq"]

    @property
    def redis(self) -> Proxy:
        return self.proxies["redis"]

    @property
    def postgres(self) -> Proxy:
        return self.proxies["postgres"]

    @property
    def broker(self) -> Broker:
        return Broker(self.urls["rabbitmq"])

    @property
    def namespace(self) -> str:
        return self.system.env["NAMESPACE"]

    @property
    def executions(self) -> Path:
        return Path(self.system.env[EXECUTIONS])

    def watch(self, job: str, **how: Any) -> None:
        """In the background; `how` as the crowd's."""
        self.watchers.create_task(self.crowd.watch(job, **how))

    async def start(self, name: str, **env: str) -> Proc:
        return await self.system.start(name, **env)

    async def end(self, name: str, how: signal.Signals = signal.SIGKILL) -> Proc:
        proc = self.system.processes[name]
        if proc.process.returncode is None:
            proc.kill(how)
        await proc.wait(within=30)
        return proc

    def playing(self, role: str) -> str:
        """The process that plays a role."""
        return self.system.playing(role).name

    async def replace(self, name: str, **env: str) -> Proc:
        """Kill it and start another in its place."""
        await self.end(name)
        return await self.start(name, **env)

    def pause(self, name: str) -> None:
        """A worker's children too: a machine that sleeps, sleeps whole."""
        _signal_tree(self.system.processes[name].process.pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        _signal_tree(self.system.processes[name].process.pid, signal.SIGCONT)

    @asynccontextmanager
    async def crowd_at(self, url: str, name: str) -> AsyncGenerator[Crowd]:
        """Users of another api, in the same ledger."""
        async with _client(url) as http:
            yield Crowd(http, self.ledger, self.random, name=name)

    async def effects(self) -> Effects:
        return await read_store(self.store_url)

    async def watched(self, count: int = 1, *, within: float = 30) -> None:
        """So many watchers have seen the end."""
        await eventually(
            lambda: len(self.ledger.read().transcripts) >= count, within=within, every=0.25
        )

    async def started(self, count: int = 1, *, within: float = 30) -> None:
        """So many executions have begun."""
        await eventually(lambda: len(read_executions(self.executions)) >= count, within=within)

    async def runs(self, job: str, crowd: Crowd | None = None, *, within: float = 30) -> None:
        """The engine of this job, of this crowd's, has begun."""
        jobs = (crowd or self.crowd).jobs
        key = next(key for key, each in jobs.items() if each == job)

        def begun() -> bool:
            return key in {run.key for run in read_executions(self.executions)}

        await eventually(begun, within=within)

    async def answered_or_run_again(self) -> None:
        """Until nothing is open, or something has begun a second time."""

        async def either() -> bool:
            return len(read_executions(self.executions)) > 1 or not (await self.effects()).open_jobs

        await eventually(either, within=40, every=0.25)

    async def recovers(self) -> None:
        """A fault is over: new work ends as soon as is promised. How soon is written down."""
        began = time.monotonic()
        # Ahead of what piled up meanwhile: this is about the faults, not about the backlog.
        job = await self.crowd.submit(words=1, delay_s=0.0, priority=PROBE_PRIORITY)
        await eventually(lambda: self.crowd.over(job), within=DRAINED_WITHIN_S, every=0.1)
        took_s = time.monotonic() - began
        self.ledger.write("recovered", within_s=took_s)
        assert took_s <= RECOVERED_WITHIN_S, f"new work ended {took_s:.0f} s after the heal"

    async def drained(self, *, within: float = DRAINED_WITHIN_S) -> float:
        """Until every job has ended; answers how long that took."""
        began = time.monotonic()

        async def nothing_open() -> bool:
            effects = await self.effects()
            assert not effects.open_jobs, [(r.key, r.state) for r in effects.open_jobs[:5]]
            return True

        await eventually(nothing_open, within=within, every=0.25)
        return time.monotonic() - began

    async def judged(
        self,
        *,
        settle_s: float = SETTLED_WITHIN_S,
        complete: Callable[[Effects], Effects] = lambda effects: effects,
        **bounds: Any,
    ) -> Judgement:
        """Once all is over: wait for the queues to empty, look at every end, and judge.

        `complete` adds what the store no longer holds, and rightly so.
        """
        await self.crowd.see_ends()
        queues = await self._settled_queues(settle_s)
        effects = complete(await self.effects())
        effects.queues = queues
        effects.documents = await self.crowd.documents(effects)
        limits = {"losses": self.losses, "dead_letters": self.dead_letters, **bounds}
        clients = self.ledger.read()
        executions = read_executions(self.executions)
        return judge(Evidence(clients, executions, effects, Bounds(**limits)))

    async def _settled_queues(self, within: float) -> dict[str, int]:
        """The management API counts now and then; what is still there in the end is there."""
        names = f"{self.namespace}."

        async def empty() -> dict[str, int]:
            depths = await self._depths()
            ours = {name: count for name, count in depths.items() if name.startswith(names)}
            work = {n: c for n, c in ours.items() if ".worker." not in n}
            assert sum(work.values()) == 0, work
            parked = (await self.effects()).dead_letters
            assert parked == self.dead_letters, f"{parked} dead letters"
            return work or {"": 0}

        try:
            return await eventually(empty, within=within, every=0.25)
        except AssertionError:
            return await self._depths()

    async def _depths(self) -> dict[str, int]:
        """A bus inside a process cannot be asked from outside, and what it held ends with it."""
        if self.broker_left or "rabbitmq" not in self.urls:
            return {}
        return await self.broker.depths()

    async def quiet(self, **bounds: Any) -> Judgement:
        """Drain and judge; raises what is broken."""
        await self.drained()
        judgement = await self.judged(**bounds)
        assert judgement.broken == []
        return judgement


@asynccontextmanager
async def rig(  # what differs from test to test, each by its name
    house: House,
    folder: Path,
    *,
    mode: Mode = "EDA",
    roles: Sequence[str] = (),
    seed: int = 0,
    env: Mapping[str, str] | None = None,
) -> AsyncGenerator[Rig]:
    """A running system; `env` as in .env.

    In EDA on servers of its own, one process a role, or `roles` such as 'dispatcher@2'; there 'all'
    and 'all@2' with EXECUTION_MODE=MONOLITH are processes of the other mode on the same servers. In
    MONOLITH one process, 'all', on a SQLite file, as it comes.
    """
    async with AsyncExitStack() as stack:
        random = Random(seed)
        urls = await _servers(stack, house) if mode == "EDA" else {}
        proxies = {
            name: await stack.enter_async_context(Proxy(url, random=random).serving())
            for name, url in urls.items()
        }
        told = _environment(mode, folder, proxies) | dict(env or {})
        system = await _started(stack, mode, folder, told, roles)
        ledger = ClientLedger(folder / CLIENTS)
        stack.callback(ledger.close)
        http = await stack.enter_async_context(_client(system.url))
        watchers = await stack.enter_async_context(asyncio.TaskGroup())
        yield Rig(
            system=system,
            crowd=Crowd(http, ledger, random),
            ledger=ledger,
            proxies=proxies,
            servers={
                "rabbitmq": Server(house.rabbitmq),
                "redis": Server(house.redis),
                "postgres": Server(house.postgres),
            },
            urls=urls,
            store_url=urls.get("postgres", f"sqlite:///{folder / 'var' / 'headrace.db'}"),
            watchers=watchers,
            random=random,
        )


async def _servers(stack: AsyncExitStack, house: House) -> dict[str, str]:
    vhost = await stack.enter_async_context(fresh_vhost(house.rabbitmq.url))
    database = await stack.enter_async_context(fresh_database(house.postgres.url))
    return {"rabbitmq": vhost.url, "redis": house.redis.url, "postgres": database}


@asynccontextmanager
async def supervised(rig: Rig) -> AsyncGenerator[None]:
    """Start again whoever leaves by itself, as its supervisor would: for want of a dependency, say.

    Nobody may leave by an error that nobody expected. What a test has its hands on is left alone.
    """

    async def look_after() -> None:
        while True:
            for name, proc in list(rig.system.processes.items()):
                hands = rig.hands_on(name)
                if proc.process.returncode is not None and not hands.locked():
                    assert "\nTraceback" not in f"\n{proc.log.read_text()}", proc.log
                    async with hands:
                        await rig.start(name)
            await asyncio.sleep(LOOK_EVERY_S)

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look_after())
        yield
        looking.cancel()


async def _started(
    stack: AsyncExitStack, mode: Mode, folder: Path, env: dict[str, str], roles: Sequence[str]
) -> System:
    port = free_port()
    system = System(mode, folder, {**env, "PORT": str(port)}, port, module=BUILD)
    stack.push_async_callback(system.stop)
    for name in roles or system.roles:
        await system.start(name)
    await system.ready()
    return system


def _client(url: str) -> httpx.AsyncClient:
    everyone = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=20, limits=everyone)


def _environment(mode: Mode, folder: Path, proxies: dict[str, Proxy]) -> dict[str, str]:
    variables = {"rabbitmq": "RABBITMQ_URL", "redis": "REDIS_URL", "postgres": "DATABASE_URL"}
    return {
        "PATH": os.environ["PATH"],
        "PYTHONUNBUFFERED": "1",
        "EXECUTION_MODE": mode,
        "DATA_DIR": str(folder / "var"),
        "LOG_FORMAT": "json",
        "NAMESPACE": fresh_name(),
        **{variables[name]: proxy.url for name, proxy in proxies.items()},
        "LEASE_S": str(LEASE_S),
        "DRAIN_S": "10",
        "CANCEL_GRACE_S": "1",
        "RETRY_BASE_S": "0.3",
        "RETRY_LOSSES": "50",  # faults are ours, not the jobs'
        "SWEEP_EVERY_S": "0.5",
        EXECUTIONS: str(folder / "executions.jsonl"),
    }


def _signal_tree(pid: int, what: signal.Signals) -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):  # it has just left, and nobody was told yet
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # a child that has
                process.send_signal(what)
