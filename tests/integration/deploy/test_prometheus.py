"""Prometheus's own tool reads what we give to Prometheus, and runs the alerts' tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types

from headrace.testkit import infra

# It makes a database for each of them: a few seconds, on a machine that does little else.
pytestmark = pytest.mark.timeout(250)

FOLDER: Final = Path(__file__).parents[3] / "deploy/prometheus"
ASKED: Final = {
    "config": ("check", "config", "prometheus.yml"),
    "rules": ("check", "rules", "rules/headrace.yml"),
    "alerts": ("test", "rules", "tests/headrace.test.yml"),
}


@pytest.fixture(scope="session")
def promtool() -> str:
    return infra.tool("promtool", package="prometheus")


def run(promtool: str, what: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own argument list, no shell
        [promtool, *ASKED[what]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize("what", ASKED)
def test_promtool_agrees(promtool: str, what: str) -> None:
    ran = run(promtool, what, FOLDER)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "SUCCESS" in ran.stdout


def test_an_alert_that_does_not_fire_would_be_noticed(promtool: str, tmp_path: Path) -> None:
    broken = tmp_path / "prometheus"
    shutil.copytree(FOLDER, broken)
    tests = broken / "tests/headrace.test.yml"
    whole = yaml.safe_load(tests.read_text())
    some = [case for case in whole["tests"] if case["name"].startswith("HeadraceNoWorker")]
    tests.write_text(yaml.safe_dump({**whole, "tests": some}))
    rules = broken / "rules/headrace.yml"
    rules.write_text(rules.read_text().replace("headrace_slots) == 0", "headrace_slots) < 0"))

    ran = run(promtool, "alerts", broken)

    assert ran.returncode != 0
    assert "HeadraceNoWorker" in ran.stdout + ran.stderr
