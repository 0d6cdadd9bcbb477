"""Finds a real RabbitMQ, Redis and PostgreSQL for the tests, wherever there is one, or makes one.

Asked in this order: a URL in the environment, a server on this machine's usual port, a server
binary (started privately), a container, Debian's packages (as root). Else the test is skipped;
with `CI` set it fails instead, so that nothing is green for want of a server.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NoReturn

import pytest

from headrace.testkit import containers, own, probes
from headrace.testkit.fresh import Vhost, fresh_database, fresh_prefix, fresh_vhost
from headrace.testkit.own import own_postgres, own_rabbitmq, own_redis
from headrace.testkit.redis_cluster import RedisCluster, own_redis_cluster
from headrace.testkit.servers import Daemon, Server

__all__ = [
    "RedisCluster",
    "Server",
    "Vhost",
    "fresh_database",
    "fresh_prefix",
    "fresh_vhost",
    "own_postgres",
    "own_rabbitmq",
    "own_redis",
    "own_redis_cluster",
    "postgres",
    "rabbitmq",
    "redis",
]

APT_WITHIN_S: Final = 600


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What there is to know about one kind of server in order to find it."""

    name: str
    variable: str
    usual: tuple[str, ...]
    probe: probes.Probe
    binary: Callable[[], str | None]
    daemon: Callable[[Path], Daemon]
    container: containers.Image
    package: str


RABBITMQ: Final = Kind(
    name="RabbitMQ",
    variable="TEST_RABBITMQ_URL",
    usual=("amqp://guest:guest@127.0.0.1:5672/",),
    probe=probes.amqp,
    binary=own.rabbitmq_binary,
    daemon=own.rabbitmq_daemon,
    container=containers.RABBITMQ,
    package="rabbitmq-server",
)
REDIS: Final = Kind(
    name="Redis",
    variable="TEST_REDIS_URL",
    usual=("redis://127.0.0.1:6379/0",),
    probe=probes.resp,
    binary=own.redis_binary,
    daemon=own.redis_daemon,
    container=containers.REDIS,
    package="redis-server",
)
# There is no usual port for one, and no single process to start: who asks takes a URL or makes his own.
REDIS_CLUSTER: Final = replace(
    REDIS, name="Redis Cluster", variable="TEST_REDIS_CLUSTER_URL", usual=()
)
POSTGRES: Final = Kind(
    name="PostgreSQL",
    variable="TEST_DATABASE_URL",
    usual=(
        "postgresql://postgres@127.0.0.1:5432/postgres",
        "postgresql://postgres:postgres@127.0.0.1:5432/postgres",
    ),
    probe=probes.sql,
    binary=own.postgres_binary,
    daemon=own.postgres_daemon,
    container=containers.POSTGRES,
    package="postgresql",
)


def rabbitmq() -> str:
    """The URL of a running RabbitMQ; it stays the same for the whole test run."""
    return find(RABBITMQ)


def redis() -> str:
    """The URL of a running Redis."""
    return find(REDIS)


def postgres() -> str:
    """The URL of a running PostgreSQL, as a role that may create databases."""
    return find(POSTGRES)


@cache
def find(kind: Kind) -> str:
    found = next((url for source in SOURCES if (url := source(kind))), None)
    return found or give_up(kind)


def from_the_environment(kind: Kind) -> str | None:
    url = os.environ.get(kind.variable)
    if url and not probes.answers(kind.probe, url):
        pytest.fail(f"{kind.variable} names a {kind.name} that does not answer", pytrace=False)
    return url


def from_the_usual_port(kind: Kind) -> str | None:
    return next((url for url in kind.usual if probes.answers(kind.probe, url)), None)


def from_a_binary(kind: Kind) -> str | None:
    if kind.binary() is None:
        return None
    home = Path(tempfile.mkdtemp(prefix="headrace-tests-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    daemon = kind.daemon(home)
    atexit.register(shutil.rmtree, daemon.home, ignore_errors=True)
    atexit.register(daemon.kill)
    daemon.start()
    return daemon.url


def from_a_container(kind: Kind) -> str | None:
    return containers.run(kind.container, kind.probe)


def from_debian(kind: Kind) -> str | None:
    install(kind.package)
    return from_the_usual_port(kind) or from_a_binary(kind)


def install(package: str) -> None:
    """Where we may: on Debian, as root."""
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        subprocess.run(  # noqa: S603  # our own argument list, no shell
            ["/usr/bin/apt-get", "--quiet", *command],
            env=quiet,
            check=False,
            capture_output=True,
            timeout=APT_WITHIN_S,
        )


SOURCES: Final = (
    from_the_environment,
    from_the_usual_port,
    from_a_binary,
    from_a_container,
    from_debian,
)


def need_binary(kind: Kind) -> None:
    """For what starts a server of its own: a URL or a container does not help."""
    if kind.binary() is None:
        without(f"no {kind.name} binary on this machine: install {kind.package}")


def tool(name: str, *, package: str) -> str:
    """A program's path: of this machine, or of a Debian package."""
    if shutil.which(name) is None:
        install(package)
    return shutil.which(name) or without(f"no {name} on this machine: install {package}")


def give_up(kind: Kind) -> NoReturn:
    without(
        f"no {kind.name}: set {kind.variable}, start one on its usual port,"
        f" install {kind.package}, or start a container engine"
    )


def without(why: str) -> NoReturn:
    """Skip the test that asks, or fail it with `CI` set."""
    if os.environ.get("CI"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def skipped_without(*modules: str) -> pytest.MarkDecorator:
    """A mark: skipped where one is not installed. With `CI` set it runs, and fails at its import."""
    lacking = [name for name in modules if find_spec(name) is None]
    why = f"no {', '.join(lacking)}: make install-torch"
    return pytest.mark.skipif(bool(lacking) and not os.environ.get("CI"), reason=why)
