"""The dashboards are made of what Grafana knows: its own types read every field, and lose none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

DASHBOARDS: Final = sorted((Path(__file__).parents[3] / "deploy/grafana/dashboards").glob("*.json"))

register_default_plugins()


def unknown(dashboard: Any) -> list[str]:
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    return list(_lost(dashboard, again, ""))


def _lost(ours: Any, theirs: Any, at: str) -> Iterator[str]:
    match ours, theirs:
        case dict(), dict():
            for name, value in ours.items():
                yield from _lost(value, theirs.get(name), f"{at}/{name}")
        case list(), list() if len(ours) == len(theirs):
            for place, pair in enumerate(zip(ours, theirs, strict=True)):
                yield from _lost(*pair, f"{at}/{place}")
        case _ if ours != theirs:
            yield at


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_grafana_knows_every_field(path: Path) -> None:
    dashboard = json.loads(path.read_text())

    assert dashboard["panels"]
    assert unknown(dashboard) == []


def test_a_field_that_it_does_not_know_would_be_noticed() -> None:
    dashboard = json.loads(DASHBOARDS[0].read_text())
    panel = next(each for each in dashboard["panels"] if each.get("targets"))
    panel["targets"][0]["query"] = "up"
    panel["fieldConfig"]["defaults"]["units"] = "s"

    assert len(unknown(dashboard)) == 2
