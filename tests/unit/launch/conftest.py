"""A whole Headrace in one process, for the command line to talk to, and the command itself."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
import pytest_asyncio

from headrace.launch.cli import main
from headrace.launch.client import Client, connected
from headrace.testkit.system import System, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    folder = tmp_path_factory.mktemp("system")
    async with running(
        "MONOLITH",
        folder,
        API_KEYS="red:key-of-red",
        ADMIN_KEY="key-of-admin",
        ENGINES="echo",
        PIPELINES="headrace.testkit.runs_at_the_door:CHAIN",
    ) as system:
        yield system


@pytest_asyncio.fixture(loop_scope="module")
async def client(system: System) -> AsyncGenerator[Client]:
    async with connected(system.url, "key-of-red") as client:
        yield client


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Command:
    """`headrace` as a shell would run it, in a folder without a .env."""

    folder: Path
    env: dict[str, str]

    async def __call__(self, *arguments: str, **env: str) -> Ran:
        process = await self.start(*arguments, **env)
        async with asyncio.timeout(40):
            out, err = await process.communicate()
        return Ran(process.returncode or 0, out.decode(), err.decode())

    async def start(self, *arguments: str, **env: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "headrace.launch", *arguments),
            cwd=self.folder,
            env=self.env | env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


@dataclass(frozen=True)
class Inside:
    """The command without a process of its own: ten times as quick, for what heeds no signals."""

    folder: Path
    env: dict[str, str]

    async def __call__(self, *arguments: str, **env: str) -> Ran:
        return await asyncio.to_thread(self._run, arguments, self.env | env)

    def _run(self, arguments: Sequence[str], env: Mapping[str, str]) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            for name, value in env.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as left:
                main(arguments)
        return Ran(int(left.value.code or 0), out.getvalue(), err.getvalue())


Interrupt: TypeAlias = Callable[[asyncio.subprocess.Process, bytes], Awaitable[None]]


@pytest.fixture
def bare(tmp_path: Path) -> Command:
    """With no settings at all."""
    return Command(tmp_path, {"PATH": os.environ["PATH"], "COLUMNS": "100"})  # noqa: TID251  # the child's


@pytest.fixture
def command(bare: Command, system: System) -> Command:
    """Talking to the system, as tenant red."""
    told = {"HEADRACE_URL": system.url, "HEADRACE_KEY": "key-of-red"}
    return Command(bare.folder, bare.env | told)


@pytest.fixture
def inside(command: Command) -> Inside:
    """As `command`, in this process."""
    return Inside(command.folder, command.env)


@pytest.fixture
def interrupt() -> Interrupt:
    """Ctrl-C, once it has written something."""

    async def press(process: asyncio.subprocess.Process, when: bytes) -> None:
        assert process.stderr is not None
        async with asyncio.timeout(20):
            await process.stderr.readuntil(when)
        process.send_signal(signal.SIGINT)

    return press


class Cutter:
    """Passes bytes between a client and a server, and cuts each connection after so many."""

    def __init__(self, port: int, after: int) -> None:
        self._port, self._after = port, after
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(_pump(reader, back, None))
                await _pump(there, writer, self._after)
                asking.cancel()
        finally:
            back.close()
            writer.close()


async def _pump(source: asyncio.StreamReader, to: asyncio.StreamWriter, limit: int | None) -> None:
    passed = 0
    while data := await source.read(256):
        to.write(data)
        passed += len(data)
        if limit is not None and passed > limit:
            return


@pytest_asyncio.fixture(loop_scope="module")
async def cut(system: System) -> AsyncGenerator[tuple[Cutter, str]]:
    cutter = Cutter(system.port, after=3000)
    server = await asyncio.start_server(cutter, "127.0.0.1", 0)
    yield cutter, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
