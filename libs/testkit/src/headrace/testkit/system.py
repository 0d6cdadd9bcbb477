"""The composed system as its users have it: real processes, reached by HTTP, in either mode."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

import httpx

from headrace.testkit import infra
from headrace.testkit.fresh import fresh_database, fresh_prefix, fresh_vhost
from headrace.testkit.waits import eventually

Mode: TypeAlias = Literal["MONOLITH", "EDA"]
MODES: Final[tuple[Mode, ...]] = ("MONOLITH", "EDA")
ROLES: Final = ("api", "dispatcher", "gpu-worker")
SHIPPED: Final = "headrace.launch"  # the module to run; another build may have faults in it


@dataclass(slots=True)
class Proc:
    """One process of the system, and what it has written."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    async def wait(self, *, within: float = 20) -> int:
        async with asyncio.timeout(within):
            return await self.process.wait()


@dataclass(slots=True)
class System:
    mode: Mode
    folder: Path
    env: dict[str, str]
    port: int
    processes: dict[str, Proc] = field(default_factory=dict)
    module: str = SHIPPED

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of its processes: one in MONOLITH, one a role in EDA."""
        return ("all",) if self.mode == "MONOLITH" else ROLES

    def playing(self, role: str) -> Proc:
        """The process that plays a role."""
        return self.processes["all" if self.mode == "MONOLITH" else role]

    async def start(self, name: str, **env: str) -> Proc:
        """Start a process, perhaps in the place of one of that name.

        `dispatcher@2` is a second dispatcher. `env` is for this process alone.
        """
        log = self.folder / f"{name}-{len(list(self.folder.glob('*.log')))}.log"
        role = name.partition("@")[0]
        arguments = [] if role == "all" else [role]
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", self.module, "up", *arguments),
                env={**self.env, **env},
                cwd=self.folder,
                stdout=output,
                stderr=output,
            )
        self.processes[name] = Proc(name, process, log)
        return self.processes[name]

    async def ready(self, *, kinds: int = 1, within: float = 60) -> None:
        """Answering, and with engines announced."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:

            async def announced() -> bool:
                self._check_alive()
                try:
                    models = await client.get("/models", headers=self.auth)
                except httpx.TransportError:
                    return False
                return models.is_success and len(models.json()) >= kinds

            await eventually(announced, within=within, every=0.1)

    @property
    def auth(self) -> dict[str, str]:
        keys = self.env.get("API_KEYS", "")
        return {"apikey": keys.split(",")[0].partition(":")[2]} if keys else {}

    def logs(self) -> str:
        return "".join(log.read_text() for log in sorted(self.folder.glob("*.log")))

    async def stop(self) -> None:
        """Ask all that run to leave; kill who does not."""
        alive = [proc for proc in self.processes.values() if proc.process.returncode is None]
        for proc in alive:
            proc.kill(signal.SIGCONT)  # one that a test has paused hears nothing else
            proc.kill(signal.SIGTERM)
        for proc in alive:
            try:
                await proc.wait()
            except TimeoutError:
                proc.kill()
                await proc.wait()

    def _check_alive(self) -> None:
        for proc in self.processes.values():
            code = proc.process.returncode
            if code is not None:
                raise RuntimeError(f"{proc.name} left with {code}:\n{proc.log.read_text()[-4000:]}")


@asynccontextmanager
async def running(
    mode: Mode,
    folder: Path,
    *,
    kinds: int = 1,
    module: str = SHIPPED,
    roles: Sequence[str] = (),
    **settings: str,
) -> AsyncGenerator[System]:
    """Start the system with `settings` (as in .env.example) and stop it at the end.

    All of it, or these `roles` alone; without a worker there are no kinds to wait for. In EDA it gets a vhost, a database and a key prefix of its own on the servers that are found.
    """
    async with AsyncExitStack() as stack:
        env = await _environment(stack, mode, folder, settings)
        system = System(mode, folder, env, int(env["PORT"]), module=module)
        stack.push_async_callback(system.stop)
        for name in roles or system.roles:
            await system.start(name)
        await system.ready(kinds=kinds)
        yield system


async def _environment(
    stack: AsyncExitStack, mode: Mode, folder: Path, settings: Mapping[str, str]
) -> dict[str, str]:
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONUNBUFFERED": "1",
        "EXECUTION_MODE": mode,
        "PORT": str(free_port()),
        "DATA_DIR": str(folder / "var"),
        "LOG_FORMAT": "json",
        "ENGINES": "echo",
        "LEASE_S": "3",
        "DRAIN_S": "10",
        "RETRY_BASE_S": "0.2",
        "SWEEP_EVERY_S": "0.5",
        "HORDE_RATES": "-",  # all of a test's clients are one address
    }
    if mode == "EDA":
        vhost = await stack.enter_async_context(fresh_vhost(infra.rabbitmq()))
        env["RABBITMQ_URL"] = vhost.url
        env["DATABASE_URL"] = await stack.enter_async_context(fresh_database(infra.postgres()))
        env["REDIS_URL"] = infra.redis()
        prefix = await stack.enter_async_context(fresh_prefix(env["REDIS_URL"]))
        env["NAMESPACE"] = prefix.rstrip(":")
    return {**env, **settings}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
