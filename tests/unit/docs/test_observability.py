"""The files that observe the stack fit it, and each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types

ROOT: Final = Path(__file__).parents[3]
OURS: Final = ("api", "dispatcher", "gpu-worker")
OBSERVERS: Final = ("collector", "traces", "prometheus", "grafana")


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


COMPOSE: Final = read("docker-compose.dev.yml")["services"]


def test_every_process_is_scraped_where_it_tells_its_metrics() -> None:
    scraped = {
        job["job_name"]: (where["names"], where["port"])
        for job in read("deploy/prometheus/prometheus.yml")["scrape_configs"]
        for where in job["dns_sd_configs"]
    }
    told = {
        name: int(
            COMPOSE[name]["environment"].get(
                "METRICS_PORT", COMPOSE[name]["environment"].get("PORT")
            )
        )
        for name in OURS
    }

    assert scraped == {name: ([name], told[name]) for name in OURS}


@pytest.mark.parametrize("name", OBSERVERS)
def test_what_an_observer_mounts_is_there(name: str) -> None:
    mounts = [each.split(":") for each in COMPOSE[name].get("volumes", ())]

    for source, target, *how in mounts:
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
            assert how == ["ro"], target


def test_observers_start_when_somebody_asks_for_them() -> None:
    assert {name: COMPOSE[name]["profiles"] for name in OBSERVERS} == {
        "collector": ["trace", "observability"],
        "traces": ["trace", "observability"],
        "prometheus": ["observability"],
        "grafana": ["observability"],
    }


def test_the_collector_s_pipelines_are_made_of_what_it_declares() -> None:
    collector = read("deploy/otel/collector.yml")

    for pipeline in collector["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= collector[kind].keys()
            assert pipeline[kind][0] == "memory_limiter" or kind != "processors"
    assert set(collector["service"]["extensions"]) == collector["extensions"].keys()


def test_traces_go_to_the_viewer_and_are_found_from_a_graph() -> None:
    exporter = read("deploy/otel/collector.yml")["exporters"]["otlp/traces"]
    sources = read("deploy/grafana/provisioning/datasources/headrace.yml")["datasources"]
    uids = {source["uid"]: source for source in sources}

    assert exporter["endpoint"].partition(":")[0] in COMPOSE
    for source in sources:
        assert source["url"].removeprefix("http://").partition(":")[0] in COMPOSE
    for link in uids["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]:
        assert link["datasourceUid"] in uids
        assert link["name"] == "trace_id"


def test_dashboards_ask_a_source_that_is_provisioned() -> None:
    sources = read("deploy/grafana/provisioning/datasources/headrace.yml")["datasources"]
    uids = {source["uid"] for source in sources}

    for path in (ROOT / "deploy/grafana/dashboards").glob("*.json"):
        panels = json.loads(path.read_text())["panels"]
        assert {panel["datasource"]["uid"] for panel in panels if "datasource" in panel} <= uids
