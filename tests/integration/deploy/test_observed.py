"""A real Prometheus with our rules and our dashboards' queries, on what the processes really tell."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types

from headrace.testkit import infra
from headrace.testkit.client import User
from headrace.testkit.system import System, free_port, running
from headrace.testkit.waits import eventually

DEPLOY: Final = Path(__file__).parents[3] / "deploy"
# Nothing here has a GPU, does several jobs in one go, or lets go of a model.
EMPTY_HERE: Final = (
    "headrace_gpu_",
    "headrace_engine_gpu_",
    "headrace_batch_jobs_",
    "headrace_model_evictions_",
)
ITEMS: Final = {"kind": "echo", "items": [{"input": {"text": "one two"}}]}


pytestmark = pytest.mark.timeout(250)


@pytest.fixture(scope="session")
def binary() -> str:
    return infra.tool("prometheus", package="prometheus")


def configured(ports: dict[str, int]) -> dict[str, Any]:
    """As shipped, but for where the targets are and how often they are read."""
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / "prometheus/rules/*.yml")]
    return config


@asynccontextmanager
async def prometheus(
    binary: str, folder: Path, ports: dict[str, int]
) -> AsyncGenerator[httpx.AsyncClient]:
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configured(ports)))
    port = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
            stdout=log,
            stderr=log,
        )
    try:
        base = f"http://127.0.0.1:{port}/api/v1"
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=20) as http:
            yield http
    finally:
        process.terminate()
        await process.wait()


async def told_apart(system: System) -> dict[str, int]:
    """Each process has a door of its own for its metrics; by role."""
    ports = {"api": system.port}
    for role in ("dispatcher", "gpu-worker"):
        ports[role] = free_port()
        system.processes[role].kill()
        await system.processes[role].wait()
        await system.start(role, METRICS_PORT=str(ports[role]))
    await system.ready()
    return ports


async def data(http: httpx.AsyncClient, path: str, **asked: str) -> Any:
    answer = await http.get(path, params=asked)
    assert answer.is_success, answer.text
    return answer.json()["data"]


def panels() -> list[tuple[str, str]]:
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", "30s"))
        for path in sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
        for panel in json.loads(path.read_text())["panels"]
        for target in panel.get("targets", ())
    ]


async def test_every_panel_has_something_to_draw_and_every_alert_can_be_judged(
    binary: str, tmp_path: Path
) -> None:
    async with (
        running("EDA", tmp_path) as system,
        httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http,
        prometheus(binary, tmp_path, await told_apart(system)) as asked,
    ):
        user = User(http)

        async def drawn() -> bool:
            """Work goes on meanwhile: a rate is of what happens now."""
            for given in ({}, {"fail": "transient", "fail_attempts": 1}, {"fail": "input"}):
                await user.watch(await user.echo("one two", **given))
            (await http.post("/batches", json=ITEMS)).raise_for_status()
            blank = {
                title
                for title, query in panels()
                if not any(name in query for name in EMPTY_HERE)
                and not (await data(asked, "/query", query=query))["result"]
            }
            assert blank == set(), blank
            return True

        await eventually(drawn, within=60, every=1.0)
        targets = (await data(asked, "/targets"))["activeTargets"]
        groups = (await data(asked, "/rules"))["groups"]

    assert {each["labels"]["job"]: each["health"] for each in targets} == dict.fromkeys(
        ("api", "dispatcher", "gpu-worker"), "up"
    )
    rules = [rule for group in groups for rule in group["rules"]]
    assert rules
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
