"""What `headrace doctor` looks at, one function a dependency: a finding in words, with its remedy."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import httpx

from headrace.contracts.ids import TenantId
from headrace.core.errors import HeadraceError, Misconfigured, Unavailable
from headrace.core.ports.blobs import Blob
from headrace.launch.client import connected
from headrace.launch.errors import LaunchError, Unreachable
from headrace.launch.greeting import address
from headrace.wiring.inspection import inspect_bus, inspect_store, inspect_streams
from headrace.wiring.modes import Mode
from headrace.wiring.recipes import wiring_for
from headrace.wiring.settings import Settings

Verdict: TypeAlias = Literal["ok", "warn", "fail"]
PYTHON_AT_LEAST: Final = (3, 11)
WITHIN_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Finding:
    about: str
    verdict: Verdict
    found: str
    remedy: str = ""


Check: TypeAlias = Callable[[Settings], Coroutine[Any, Any, Sequence[Finding]]]


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Every finding as it is made. A check that takes too long is a finding too."""
    for about, check in CHECKS.items():
        try:
            async with asyncio.timeout(WITHIN_S):
                findings = await check(settings)
        except TimeoutError:
            findings = [Finding(about, "fail", f"no answer within {WITHIN_S:g} s", _SLOW)]
        except Unavailable as error:
            findings = [Finding(about, "fail", str(error), _REMEDIES.get(about, ""))]
        except Misconfigured as error:
            findings = [Finding(about, "fail", error.problem, error.remedy)]
        except (HeadraceError, ModuleNotFoundError) as error:
            findings = [Finding(about, "fail", str(error), _REMEDIES.get(about, ""))]
        for finding in findings:
            yield finding


_SLOW: Final = "Is something between here and there that swallows packets, such as a firewall?"
_REMEDIES: Final = {
    "database": "Start it, or correct DATABASE_URL.",
    "rabbitmq": "Start it, or correct RABBITMQ_URL: user, password, host, port and /vhost.",
    "redis": "Start it, or correct REDIS_URL.",
    "blobs": "Correct BLOBS_URL (and S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY).",
    "engines": "make install sets up everything that is there to run.",
}


async def check_python(_: Settings) -> list[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < PYTHON_AT_LEAST:
        return [Finding("python", "fail", version, "Headrace needs Python 3.11 or newer.")]
    return [Finding("python", "ok", f"{version}, {sys.executable}")]


async def check_mode(settings: Settings) -> list[Finding]:
    roles = "every role in one process"
    if settings.execution_mode is Mode.EDA:
        roles = "one role a process: headrace up api, dispatcher, gpu-worker"
    return [Finding("mode", "ok", f"{settings.execution_mode}: {roles}")]


async def check_engines(settings: Settings) -> list[Finding]:
    """Present, absent, and absent though ENGINES names it."""
    if find_spec("headrace.gpu_worker") is None:
        return [Finding("engines", "ok", "no worker is installed here")]
    from headrace.engines.registry import survey
    from headrace.gpu_worker.opening import choose_lanes, engine_options

    options = engine_options(settings)
    found = survey(options)
    choose_lanes(settings, found, options)
    wanted = settings.engines or tuple(found.present)
    told = [
        Finding("engine", "ok", f"{lane}: {', '.join([engine.kind, *engine.models])}")
        for lane, engine in found.present.items()
        if lane in wanted
    ]
    for lane, why in found.absent.items():
        verdict: Verdict = "ok" if why == "is not set up" else "warn"
        told.append(Finding("engine", verdict, f"{lane} {why.partition(': ')[0]}", _how(lane, why)))
    return told


def _how(lane: str, why: str) -> str:
    remedy = why.partition(": ")[2]
    if remedy.startswith("pip "):
        return remedy  # to be copied as it is
    return f"{remedy[:1].upper()}{remedy[1:]}" or f"Optional; see .env.example on {lane}."


async def check_data_dir(settings: Settings) -> list[Finding]:
    where = settings.data_dir.resolve()
    if (why := await asyncio.to_thread(_unwritable, where)) is None:
        return [Finding("data dir", "ok", f"{where} can be written to")]
    remedy = f"Give this user the right to write to {where}, or choose another DATA_DIR."
    return [Finding("data dir", "fail", f"{where}: {why}", remedy)]


def _unwritable(folder: Path) -> str | None:
    """Looks at the nearest folder that is there: nothing is made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with NamedTemporaryFile(dir=folder, prefix=".headrace-doctor-"):
            return None
    except OSError as error:
        return error.strerror or str(error)


async def check_database(settings: Settings) -> list[Finding]:
    if not settings.database_url and not (settings.data_dir / "headrace.db").exists():
        return [Finding("database", "ok", "SQLite, made at the first start")]
    has, needs = await inspect_store(settings)
    what = "SQLite" if settings.store_url.startswith("sqlite") else "PostgreSQL"
    if has == needs:
        return [Finding("database", "ok", f"{what} answers; schema {needs} is up to date")]
    if has is not None and has > needs:
        found = f"{what} answers; its schema is {has}: one newer than this build's, and good for it"
        return [Finding("database", "ok", found)]
    found = f"{what} answers; its schema is {has or 'not there'}, this build needs {needs}"
    if settings.migrate_at_start:
        return [Finding("database", "ok", f"{found}: brought up to date at the next start")]
    return [Finding("database", "fail", found, "Run `headrace migrate`.")]


async def check_bus(settings: Settings) -> list[Finding]:
    if settings.execution_mode is Mode.MONOLITH:
        return [Finding("rabbitmq", "ok", "not needed: MONOLITH has its queues in the process")]
    facts = await inspect_bus(settings)
    told = [Finding("rabbitmq", "ok", f"RabbitMQ {facts.version} answers and takes messages")]
    queues = f"{facts.queues} queues of {settings.namespace} are as they should be"
    if facts.missing:
        queues += f"; {len(facts.missing)} are made when a dispatcher starts"
    return [*told, Finding("queues", "ok", queues)]


async def check_streams(settings: Settings) -> list[Finding]:
    if not settings.redis_url.get_secret_value():
        return [Finding("redis", "ok", "not needed: live streams stay in the process")]
    facts = await inspect_streams(settings)
    there = f"Redis {facts.version} answers"
    if facts.nodes:
        there = f"Redis {facts.version}, a cluster of {facts.nodes} masters that has every slot"
    policies = ", ".join(facts.policies)
    if all(policy.startswith(_KEEPS_STREAMS) for policy in facts.policies):
        return [Finding("redis", "ok", f"{there}; maxmemory-policy {policies}")]
    return [
        Finding(
            "redis",
            "warn",
            f"{there}, but may throw live streams away (maxmemory-policy {policies})",
            "Set maxmemory-policy to noeviction: streams expire by themselves.",
        )
    ]


_KEEPS_STREAMS: Final = ("noeviction", "volatile-ttl")


async def check_blobs(settings: Settings) -> list[Finding]:
    """Writes a few bytes, reads them back and deletes them, once there is a place for them."""
    where = settings.blobs_url or str(settings.data_dir / "blobs")
    if not where.startswith("s3://") and not _exists(where):
        return [Finding("blobs", "ok", f"{where}, made at the first start")]
    tenant, kept = TenantId("doctor"), Blob("application/octet-stream", b"doctor")
    async with wiring_for(settings).blobs() as blobs:
        blob = await blobs.put(tenant, kept)
        same = (await blobs.get(tenant, blob)).data == kept.data
        await blobs.delete(tenant, blob)
    if same:
        return [Finding("blobs", "ok", f"{where}: written, read back and deleted")]
    return [Finding("blobs", "fail", f"{where} gives back other bytes than it took")]


def _exists(url: str) -> bool:
    return Path(url.removeprefix("file://")).exists()


async def check_door(settings: Settings) -> list[Finding]:
    """Nobody answers where the api would listen, or Headrace does, or somebody else."""
    url = address(settings.host, settings.port)
    try:
        async with connected(url) as client:
            health = await client.health()
            return [_door(settings, url, health)]
    except Unreachable as error:
        if error.why == "nobody listens there":
            return [Finding("port", "ok", f"{settings.port} on {settings.host} is free")]
    except (LaunchError, ValueError):
        pass  # somebody, but not one of us
    return [_taken(settings)]


def _door(settings: Settings, url: str, health: object) -> Finding:
    match health:
        case {"status": "ok", "version": version, "dependencies": dict()}:
            return Finding("port", "ok", f"Headrace {version} runs at {url} and is well")
        case {"status": status, "version": version, "dependencies": dict(asked)}:
            ill = "; ".join(f"{name}: {at['why']}" for name, at in asked.items() if not at["ok"])
            return Finding("port", "warn", f"Headrace {version} runs at {url}: {status}. {ill}")
        case _:
            return _taken(settings)


def _taken(settings: Settings) -> Finding:
    return Finding(
        "port",
        "fail",
        f"{settings.port} on {settings.host} is taken by another program",
        f"Stop it, or choose another port: PORT={settings.port + 1}.",
    )


async def check_page(_: Settings) -> list[Finding]:
    spec = find_spec("headrace.api")
    if spec is None or not spec.submodule_search_locations:
        return [Finding("page", "ok", "no api is installed here")]
    if (Path(spec.submodule_search_locations[0]) / "page" / "index.html").exists():
        return [Finding("page", "ok", "built")]
    return [Finding("page", "warn", "not built: / will say how", "make web")]


async def check_telemetry(settings: Settings) -> list[Finding]:
    endpoint = settings.otel_exporter_otlp_endpoint
    if not endpoint:
        return [Finding("traces", "ok", "go nowhere: OTEL_EXPORTER_OTLP_ENDPOINT is not set")]
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        remedy = "Write a whole address, as in http://host:4318."
        return [Finding("traces", "fail", f"{endpoint} is no address", remedy)]
    try:
        async with httpx.AsyncClient(timeout=3) as http:
            await http.get(endpoint)  # any answer will do
    except httpx.HTTPError:
        remedy = "Start the collector. Until then traces are dropped, and nothing waits for them."
        return [Finding("traces", "warn", f"nobody answers at {endpoint}", remedy)]
    return [Finding("traces", "ok", f"go to {endpoint}")]


CHECKS: Final[dict[str, Check]] = {
    "python": check_python,
    "mode": check_mode,
    "engines": check_engines,
    "data dir": check_data_dir,
    "database": check_database,
    "rabbitmq": check_bus,
    "redis": check_streams,
    "blobs": check_blobs,
    "port": check_door,
    "page": check_page,
    "traces": check_telemetry,
}
