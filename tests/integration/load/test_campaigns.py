"""Campaigns as `make load` runs them, briefly: a good service passes, a broken or a dead one fails and says why."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

import psutil
import pytest

from headrace.testkit.load import liar
from headrace.testkit.load.drive import Outcome, drive
from headrace.testkit.load.settings import LoadSettings
from headrace.testkit.load.target import CannotRun
from headrace.testkit.load.writing import write_report
from headrace.testkit.servers import free_port
from headrace.testkit.stopping import STOPPED
from headrace.testkit.system import SHIPPED
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.timeout(180)]

ROOT: Final = Path(__file__).parents[3]
SECONDS: Final = 6.0
# This is about right and wrong. How quick it is on whatever machine runs this, and whether a starved
# one refuses now and then, are other questions.
LIMITS: Final = """
[every.at_most]
errors = 5
wrong = 0
lost = 0
[every.at_least]
jobs = 5
[smoke]
[worker-loss]
"""


@pytest.fixture
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ROOT)  # where `make` starts Locust
    file = tmp_path / "thresholds.toml"
    file.write_text(LIMITS)
    return file


def told(campaign: str = "smoke", *, url: str = "", processes: int = 1) -> LoadSettings:
    return LoadSettings(
        campaign=campaign,
        url=url,
        keys={"load-1": "", "noisy": ""},
        admin_key="",
        mode="MONOLITH",
        minutes=SECONDS / 60,
        processes=processes,
    )


async def run(settings: LoadSettings, limits: Path, module: str = SHIPPED) -> Outcome:
    folder = limits.parent / "report"
    folder.mkdir()
    outcome = await drive(settings, folder, limits, module=module)
    write_report(outcome)
    return outcome


async def test_a_good_service_passes_and_every_job_is_accounted_for(limits: Path) -> None:
    outcome = await run(told(), limits)

    found = outcome.verdict.figures
    assert outcome.verdict.line == "PASSED"
    assert found["jobs"] >= 5
    assert found["lost"] == found["wrong"] == 0
    assert {"queue wait p95 ms", "first token p95 ms", "resume p95 ms", "total p95 ms"} <= set(
        found
    )


async def test_a_worker_that_answers_wrongly_fails_the_campaign(limits: Path) -> None:
    outcome = await run(told(), limits, liar.MODULE)

    verdict = outcome.verdict
    assert not verdict.passed
    assert verdict.figures["lost"] == 0
    assert verdict.figures["wrong"] >= 5
    assert f"and the result is {liar.LIE!r}" in verdict.reasons[-1]
    assert "<b>Failed</b>" in (outcome.folder / "report.html").read_text()


async def test_a_dead_host_fails_the_campaign(limits: Path) -> None:
    outcome = await run(told(url=f"http://127.0.0.1:{free_port()}"), limits)

    assert outcome.verdict.reasons[0] == "nothing was accepted"
    assert "refused" in outcome.verdict.reasons[-1]
    assert outcome.verdict.figures["jobs"] == 0


async def test_a_campaign_that_is_told_to_stop_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"CAMPAIGN": "smoke", "MODE": "EDA", "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(name, value)
    campaign = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.load.campaign"), cwd=tmp_path, stderr=PIPE
    )
    process = psutil.Process(campaign.pid)
    stack = {"api", "dispatcher", "gpu-worker"}
    await eventually(lambda: stack <= {role_of(each) for each in process.children()}, within=60)
    everybody = process.children(recursive=True)

    campaign.terminate()
    await asyncio.wait_for(campaign.communicate(), timeout=60)

    assert campaign.returncode == STOPPED
    assert [each for each in everybody if each.is_running()] == []


def role_of(process: psutil.Process) -> str:
    try:
        return process.cmdline()[-1]
    except psutil.Error:  # it has just left, or not yet become what it will be
        return ""


async def test_several_locust_processes_make_one_report(limits: Path) -> None:
    outcome = await run(told(processes=2), limits)

    log = (outcome.folder / "locust.log").read_text()
    assert outcome.verdict.line == "PASSED"
    assert log.count("successfully connected") >= 2 or log.count("reported as ready") >= 2
    assert outcome.evidence.ended.keys() == outcome.evidence.accepted.keys()


async def test_what_needs_a_stack_of_its_own_is_refused_before_anything_is_sent(
    limits: Path,
) -> None:
    with pytest.raises(CannotRun, match="worker-loss needs a stack of its own"):
        await run(told("worker-loss", url="http://127.0.0.1:1"), limits)
