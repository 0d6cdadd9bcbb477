"""Every process dies once in the middle of a run; it ends as one that was left alone, and no stage is done twice."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from headrace.testkit.client import User
from headrace.testkit.system import MODES, Mode, System, running
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(240)]

PIPELINE = '''
"""Texts side by side, then one over all of them, then one more."""
from headrace.core.pipeline import Fixed, Given, Item, Many, Of, Pipeline, Plain, Stage

ECHO = {"kind": "echo", "gives": {"text": Plain.TEXT}}
PIPELINE = Pipeline(
    name="choir",
    title="",
    takes={"texts": Many(Plain.TEXT)},
    stages=(
        Stage(
            name="each",
            each=Given("texts"),
            input={"text": Item(), "delay_s": Fixed(0.3)},
            **ECHO,
        ),
        Stage(
            name="again",
            each=Of("each", "text"),
            input={"text": Item(), "delay_s": Fixed(0.3)},
            **ECHO,
        ),
        Stage(name="last", input={"text": Fixed("a b c d"), "delay_s": Fixed(0.3)}, **ECHO),
        Stage(
            name="end",
            each=Of("again", "text"),
            input={"text": Of("last", "text"), "delay_s": Fixed(0.3)},
            **ECHO,
        ),
    ),
)
'''
TEXTS = ["a b c d", "e f g h", "i j k l"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_run_whose_every_process_is_killed_once_ends_as_one_that_was_left_alone(
    mode: Mode, tmp_path: Path, figures: list[str]
) -> None:
    (tmp_path / "choir.py").write_text(PIPELINE)
    settings = {"PYTHONPATH": str(tmp_path), "PIPELINES": "choir", "SLOTS": "echo=2"}
    async with (
        running(mode, tmp_path, kinds=1, **settings) as system,
        httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http,
    ):
        user = User(http)
        calm = await ended(user, await begun(user))

        run = await begun(user)
        for stage, role in zip(("each", "again", "end"), cycle(system.roles), strict=False):
            await eventually(partial(has_begun, user, run, stage), within=60)
            await kill(system, role)
        shaken = await ended(user, run)

        assert outcome(shaken) == outcome(calm)
        jobs = (await http.get("/jobs", params={"label": f"headrace/run:{run}"})).json()["jobs"]
        stages = Counter(job["labels"]["headrace/stage"] for job in jobs)
        assert stages == {"each": 3, "again": 3, "last": 1, "end": 3}
        assert {job["state"] for job in jobs} == {"succeeded"}
        outcomes: Counter[str] = Counter()
        for job in jobs:
            attempts = (await user.get(job, "/timeline"))["attempts"]
            ends = [each["outcome"] for each in attempts]
            assert ends.count("succeeded") == 1
            outcomes.update(ends)
        figures.append(f"a run under kills, {mode}: {len(jobs)} jobs, attempts {dict(outcomes)}")


@pytest.mark.parametrize("mode", MODES)
async def test_a_deadline_that_passes_while_every_process_is_down_ends_the_run_after_the_restart(
    mode: Mode, tmp_path: Path
) -> None:
    (tmp_path / "choir.py").write_text(PIPELINE)
    settings = {"PYTHONPATH": str(tmp_path), "PIPELINES": "choir", "SLOTS": "echo=1"}
    async with (
        running(mode, tmp_path, kinds=1, **settings) as system,
        httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http,
    ):
        user = User(http)
        run = await begun(user, texts=["a " * 400] * 3, deadline_s=8.0)
        due = monotonic() + 8
        await eventually(partial(has_begun, user, run, "last"), within=6)

        dead = [system.playing(role) for role in system.roles]
        for process in dead:
            process.kill(signal.SIGKILL)
        for process in dead:
            await process.wait()
        await eventually(lambda: monotonic() > due, within=20)
        for process in dead:
            await system.start(process.name)
        await system.ready()
        over = await ended(user, run)

        assert (over["state"], over["error"]["kind"]) == ("failed", "deadline")
        assert over["error"]["message"] == "it was not over within 8 s"
        jobs = (await http.get("/jobs", params={"label": f"headrace/run:{run}"})).json()["jobs"]
        assert {job["labels"]["headrace/stage"] for job in jobs} == {"each", "last"}
        assert {job["state"] for job in jobs} <= {"succeeded", "cancelled"}
        assert "cancelled" in {job["state"] for job in jobs}


async def begun(user: User, texts: Sequence[str] = tuple(TEXTS), **more: Any) -> str:
    asked = {"pipeline": "choir", "input": {"texts": list(texts)}, **more}
    answer = await user.http.post("/runs", json=asked)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def look(user: User, run: str) -> Any:
    return (await user.http.get(f"/runs/{run}")).raise_for_status().json()


async def has_begun(user: User, run: str, stage: str) -> bool:
    found = await look(user, run)
    (wanted,) = [each for each in found["stages"] if each["name"] == stage]
    return bool(wanted["pieces"])


async def ended(user: User, run: str) -> Any:
    async def is_over() -> bool:
        return (await look(user, run))["state"] in {"succeeded", "failed", "cancelled"}

    await eventually(is_over, within=120)
    return await look(user, run)


async def kill(system: System, role: str) -> None:
    process = system.playing(role)
    process.kill(signal.SIGKILL)
    await process.wait()
    await system.start(process.name)
    await system.ready()


def outcome(run: Any) -> Any:
    """All but ids and times."""
    stages = [
        (stage["name"], stage["state"], [(it["state"], it["output"]) for it in stage["pieces"]])
        for stage in run["stages"]
    ]
    return run["state"], run["progress"], stages
