"""How to run a private RabbitMQ, Redis or PostgreSQL from this machine's binaries, beside any other."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from headrace.testkit import probes
from headrace.testkit.servers import LOCALHOST, Daemon, Server, free_port

# RabbitMQ's own habit: what it listens on for AMQP, plus this much, is its management port.
MANAGEMENT_OFFSET: Final = 10_000
CLUSTER_OFFSET: Final = 20_000

RABBITMQ_CONF: Final = """\
listeners.tcp.local = {host}:{port}
management.tcp.ip = {host}
management.tcp.port = {management_port}
disk_free_limit.absolute = {disk_free_limit}
log.file.level = warning
collect_statistics_interval = 500
"""
# An ack that is late is noticed at the tick, which is a minute apart unless told otherwise.
RABBITMQ_ADVANCED: Final = (
    "[{{rabbit, [{{consumer_timeout, {ms}}}, {{channel_tick_interval, 500}}]}}].\n"
)


@asynccontextmanager
async def own_rabbitmq(
    tmp: Path, *, consumer_timeout_ms: int | None = None, data: Path | None = None
) -> AsyncGenerator[Server]:
    daemon = rabbitmq_daemon(tmp, consumer_timeout_ms=consumer_timeout_ms, data=data)
    async with running(daemon) as server:
        yield server


@asynccontextmanager
async def own_redis(tmp: Path, *, append_only: bool = False) -> AsyncGenerator[Server]:
    async with running(redis_daemon(tmp, append_only=append_only)) as server:
        yield server


@asynccontextmanager
async def own_postgres(tmp: Path, *, data: Path | None = None) -> AsyncGenerator[Server]:
    daemon = await asyncio.to_thread(postgres_daemon, tmp, data=data)
    async with running(daemon) as server:
        yield server


@asynccontextmanager
async def own_standby(primary: str, tmp: Path) -> AsyncGenerator[Server]:
    """Of a PostgreSQL that runs; it may be reached through a proxy of ours."""
    daemon = await asyncio.to_thread(postgres_standby, primary, tmp)
    async with running(daemon) as server:
        yield server


@asynccontextmanager
async def running(daemon: Daemon) -> AsyncGenerator[Server]:
    """For as long as the body lasts; nothing of it stays."""
    server = Server(daemon)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()  # nobody will read its data again
        await asyncio.to_thread(shutil.rmtree, server.home, ignore_errors=True)


def rabbitmq_binary() -> str | None:
    # Debian's command on the PATH insists on the user rabbitmq; the one behind it does not.
    behind = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    return behind if os.access(behind, os.X_OK) else shutil.which("rabbitmq-server")


def redis_binary() -> str | None:
    return shutil.which("redis-server") or shutil.which("valkey-server")


def postgres_binary() -> str | None:
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)
    return next((str(path) for path in newest_first), None) or shutil.which("postgres")


def rabbitmq_daemon(
    tmp: Path, *, consumer_timeout_ms: int | None = None, data: Path | None = None
) -> Daemon:
    """With `data` it keeps its messages there, and no alarm tells when there is no room left."""
    port = free_port(beside=(MANAGEMENT_OFFSET, CLUSTER_OFFSET))
    home = _home(tmp, f"rabbitmq-{port}")
    conf = RABBITMQ_CONF.format(
        host=LOCALHOST,
        port=port,
        management_port=port + MANAGEMENT_OFFSET,
        disk_free_limit="50MB" if data is None else "0",
    )
    (home / "rabbitmq.conf").write_text(conf)
    (home / "enabled_plugins").write_text("[rabbitmq_management].\n")
    (home / "env.conf").touch()
    if consumer_timeout_ms is not None:
        (home / "advanced.config").write_text(RABBITMQ_ADVANCED.format(ms=consumer_timeout_ms))
    return Daemon(
        name="RabbitMQ",
        url=f"amqp://guest:guest@{LOCALHOST}:{port}/",
        command=[_there(rabbitmq_binary(), "rabbitmq-server")],
        home=home,
        probe=probes.amqp,
        env={
            "HOME": str(home),  # its cookie lies there
            "RABBITMQ_CONF_ENV_FILE": str(home / "env.conf"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_NODENAME": f"headrace-{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOCALHOST,
            "RABBITMQ_DIST_PORT": str(port + CLUSTER_OFFSET),
            "RABBITMQ_MNESIA_BASE": str(data or home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none "
            "-kernel inet_dist_use_interface {127,0,0,1}",
        },
    )


def redis_daemon(
    tmp: Path, *, append_only: bool = False, more: Sequence[str] = (), beside: Sequence[int] = ()
) -> Daemon:
    """It keeps nothing on disk, or writes everything down, to be on disk within a second."""
    port = free_port(beside=beside)
    home = _home(tmp, f"redis-{port}")
    options = ("--bind", LOCALHOST, "--port", str(port), "--dir", str(home))
    return Daemon(
        name="Redis",
        url=f"redis://{LOCALHOST}:{port}/0",
        command=[
            _there(redis_binary(), "redis-server"),
            *options,
            "--save",
            "",
            "--appendonly",
            "yes" if append_only else "no",
            *more,
        ],
        home=home,
        probe=probes.resp,
    )


def postgres_daemon(tmp: Path, *, data: Path | None = None) -> Daemon:
    """With `data`, an empty folder, it keeps its files there, and its log in pieces of 1 MiB."""
    daemon = _postgres(tmp, data)
    pieces = () if data is None else ("--wal-segsize=1",)
    options = ("--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", *pieces)
    _with_its_tool(daemon, "initdb", *options)
    return daemon


def postgres_standby(primary: str, tmp: Path) -> Daemon:
    """A copy, which follows from its own start on, under the name `standby`."""
    daemon = _postgres(tmp, None)
    source = f"{primary}?application_name=standby"
    how = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")
    _with_its_tool(daemon, "pg_basebackup", "--dbname", source, *how)
    return daemon


def _with_its_tool(daemon: Daemon, name: str, *options: str) -> None:
    binary, data = daemon.command[0], daemon.command[2]
    subprocess.run(  # noqa: S603  # our own argument list, no shell
        [str(Path(binary).with_name(name)), "--pgdata", data, *options],
        check=True,
        capture_output=True,
        user=daemon.user,
        group=daemon.user,
        extra_groups=[] if daemon.user else None,
        cwd=daemon.home,
    )


def _postgres(tmp: Path, data: Path | None) -> Daemon:
    """PostgreSQL refuses to run as root: then it gets its own user, and a home that user can reach."""
    binary = _there(postgres_binary(), "postgres")
    port = free_port()
    user = _other_than_root()
    home = _home_of(user) if user else _home(tmp, f"postgres-{port}")
    data = data or home / "data"
    if user and data.exists():
        shutil.chown(data, user)
    # A crash of the process loses nothing without fsync; only a crash of the machine would.
    options = (
        "-c",
        f"listen_addresses={LOCALHOST}",
        "-c",
        "unix_socket_directories=",
        "-c",
        "fsync=off",
    )
    return Daemon(
        name="PostgreSQL",
        url=f"postgresql://postgres@{LOCALHOST}:{port}/postgres",
        command=[binary, "-D", str(data), "-p", str(port), *options],
        home=home,
        probe=probes.sql,
        user=user,
    )


def _home(tmp: Path, name: str) -> Path:
    home = tmp / name
    home.mkdir(parents=True)
    return home


def _home_of(user: str) -> Path:
    home = Path(tempfile.mkdtemp(prefix="headrace-postgres-"))
    shutil.chown(home, user)
    return home


def _there(binary: str | None, name: str) -> str:
    if binary is None:
        raise RuntimeError(f"no {name} on this machine")
    return binary


def _other_than_root() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
