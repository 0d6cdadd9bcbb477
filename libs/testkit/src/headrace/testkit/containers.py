"""Servers from containers, where there is an engine: the last resort before installing packages."""

from __future__ import annotations

import atexit
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from headrace.testkit.probes import Probe, answers

START_WITHIN_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Image:
    """An official image, the port it serves, and the URL that port is reached by."""

    name: str
    port: int
    url: str
    env: Mapping[str, str] = field(default_factory=dict, hash=False)


RABBITMQ: Final = Image(name="rabbitmq:3-management", port=5672, url="amqp://guest:guest@{at}/")
REDIS: Final = Image(name="redis:7", port=6379, url="redis://{at}/0")
POSTGRES: Final = Image(
    name="postgres:16",
    port=5432,
    url="postgresql://postgres:postgres@{at}/postgres",
    env={"POSTGRES_PASSWORD": "postgres"},
)


def run(image: Image, probe: Probe) -> str | None:
    """Start one and stop it at exit. Nothing here, or no engine: None."""
    try:
        from docker.errors import DockerException
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.container import DockerContainer
    except ImportError:
        return None
    testcontainers_config.ryuk_disabled = True  # one image fewer to pull; we stop it at exit
    container = DockerContainer(image.name).with_exposed_ports(image.port)
    for name, value in image.env.items():
        container.with_env(name, value)
    try:
        container.start()
    except DockerException:
        return None
    atexit.register(container.stop)
    at = f"{container.get_container_host_ip()}:{container.get_exposed_port(image.port)}"
    return _when_it_answers(image.url.format(at=at), probe)


def _when_it_answers(url: str, probe: Probe) -> str | None:
    deadline = time.monotonic() + START_WITHIN_S
    while not answers(probe, url):
        if time.monotonic() > deadline:
            return None
        time.sleep(0.2)
    return url
