"""Alerts and dashboards name what there is, and each alert leads to a place in the runbook."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types

from headrace.telemetry.metrics import CATALOG

ROOT: Final = Path(__file__).parents[3]
RUNBOOK: Final = (ROOT / "docs/runbook.md").read_text()
DASHBOARDS: Final = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
ENDINGS: Final = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
SCRAPED: Final = {
    meaning.name + ending for meaning in CATALOG.meanings for ending in ENDINGS[meaning.kind]
}
# Prometheus's own, and what prometheus-client tells of every process.
OF_OTHERS: Final = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}


def _rules() -> dict[str, dict[str, Any]]:
    text = (ROOT / "deploy/prometheus/rules/headrace.yml").read_text()
    return {
        rule["alert"]: rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]
    }


RULES: Final = _rules()


def metrics_in(query: str) -> set[str]:
    """Names that are followed by a selector, a range or an end, and are no function or keyword."""
    bare = re.sub(r'\{[^}]*\}|"[^"]*"|\[[^\]]*\]|\b(?:by|without) \([^)]*\)', " ", query)
    words = set(re.findall(r"\b[a-z_][a-z_0-9]*\b(?!\s*\()", bare))
    return words - {"and", "or", "unless", "by", "on"}


def labels_in(query: str) -> set[str]:
    grouped = re.findall(r"\bby \(([^)]*)\)", query)
    matched = re.findall(r"([a-z]+)\s*(?:=~|!~|!=|=)\s*\"", query)
    return {name.strip() for names in grouped for name in names.split(",")} | set(matched)


LABELS: Final = {name for meaning in CATALOG.meanings for name in meaning.labels} | {
    *("job", "instance", "le"),
}


def queries() -> list[tuple[str, str]]:
    found = [(name, rule["expr"]) for name, rule in RULES.items()]
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            where = f"{path.stem}: {panel['title']}"
            found += [(where, target["expr"]) for target in panel.get("targets", ())]
    return found


@pytest.mark.parametrize(("where", "query"), queries())
def test_a_query_names_metrics_and_labels_that_there_are(where: str, query: str) -> None:
    assert metrics_in(query), where
    assert metrics_in(query) - SCRAPED - OF_OTHERS == set(), where
    assert labels_in(query) - LABELS == set(), where


def test_a_metric_that_nobody_has_would_be_noticed() -> None:
    assert metrics_in('sum by (lane) (rate(headrace_dreams_total{state="x"}[5m])) > 0') == {
        "headrace_dreams_total"
    }


@pytest.mark.parametrize("name", RULES)
def test_an_alert_leads_to_its_place_in_the_runbook(name: str) -> None:
    page, _, anchor = RULES[name]["annotations"]["runbook_url"].partition("#")

    anchors = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    }
    assert page == "docs/runbook.md"
    assert anchor in anchors


@pytest.mark.parametrize("name", RULES)
def test_an_alert_says_how_urgent_it_is_and_what_is_wrong(name: str) -> None:
    rule = RULES[name]

    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"].endswith(".")


def test_the_runbook_has_no_alert_that_is_gone() -> None:
    assert set(re.findall(r"^### (Headrace\w+)$", RUNBOOK, re.MULTILINE)) == set(RULES)


def test_every_alert_has_a_test_where_it_fires_and_one_where_it_does_not() -> None:
    text = (ROOT / "deploy/prometheus/tests/headrace.test.yml").read_text()
    fires: dict[str, set[bool]] = {}
    for case in yaml.safe_load(text)["tests"]:
        for asked in case["alert_rule_test"]:
            fires.setdefault(asked["alertname"], set()).add(bool(asked["exp_alerts"]))

    assert fires == {name: {True, False} for name in RULES}


def test_a_dashboard_draws_nothing_over_anything_else() -> None:
    for path in DASHBOARDS:
        seen: set[tuple[int, int]] = set()
        for panel in json.loads(path.read_text())["panels"]:
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert at["x"] + at["w"] <= 24
            assert not cells & seen, f"{path.stem}: {panel['title']}"
            seen |= cells


def test_every_metric_that_is_not_about_telemetry_is_on_a_dashboard() -> None:
    shown = set().union(*(metrics_in(query) for _, query in queries()))

    missing = [m.name for m in CATALOG.meanings if not any(s.startswith(m.name) for s in shown)]
    assert missing == []
