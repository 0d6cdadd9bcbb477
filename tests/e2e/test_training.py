"""A training that is killed goes on from its checkpoint: its curve is whole, and its end is that of one that was never killed."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import httpx
import psutil
import pytest
import pytest_asyncio
from playwright.async_api import expect

from headrace.contracts.frames import Log, Metric, Progress
from headrace.engines.digits.data import SHADES, split
from headrace.testkit.browser import a_browser, shown
from headrace.testkit.client import Seen, User
from headrace.testkit.system import Mode, System, running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(400),  # the browser may have to be installed
]
EPOCHS: Final = 60
ASKED: Final = {"input": {"epochs": EPOCHS, "hidden": [128], "batch_size": 8, "seed": 7}}
LONG: Final = {"input": {"epochs": 1000, "hidden": [256, 256]}}
Whole: TypeAlias = tuple[list[Seen], Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    settings = {"ENGINES": "sklearn-train,sklearn-serve"}
    async with running(mode, tmp_path_factory.mktemp(mode), kinds=1, **settings) as system:
        yield system


async def submit(user: User, family: str, asked: dict[str, Any]) -> Any:
    answer = await user.http.post(f"/jobs/{family}", json=asked)
    assert answer.status_code == 202, answer.text
    return answer.json()


def curve(seen: list[Seen], name: str) -> list[tuple[int | None, float]]:
    """As whoever watches has it at the end: a new attempt begins with nothing."""
    last = seen[-2].position.epoch  # the terminal frame opens an epoch of its own
    return [
        (each.frame.step, each.frame.value)
        for each in seen
        if isinstance(each.frame, Metric)
        and each.frame.name == name
        and each.position.epoch == last
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unbroken(system: System) -> Whole:
    async with httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http:
        user = User(http)
        job = await submit(user, "training", ASKED)
        seen = await user.watch(job)
        assert seen[-1].type == "succeeded"
        return seen, (await user.get(job, "/result"))["result"]["model"]


async def kill_the_engine(system: System) -> None:
    worker = psutil.Process(system.playing("gpu-worker").process.pid)
    (child,) = [each for each in worker.children() if "sklearn-train" in each.cmdline()]
    child.kill()


async def kill_the_worker(system: System) -> None:
    await kill(system, system.playing("gpu-worker").name)


async def kill_everybody(system: System) -> None:
    await kill(system, *system.roles)


async def kill(system: System, *names: str) -> None:
    for name in names:
        system.processes[name].kill(signal.SIGKILL)
    for name in names:
        await system.processes[name].wait()
        await system.start(name)


@pytest.mark.parametrize("strike", [kill_the_engine, kill_the_worker, kill_everybody])
async def test_killed_at_60_percent_it_ends_as_if_it_never_had_been(
    user: User, system: System, unbroken: Whole, strike: Callable[[System], Any]
) -> None:
    job = await submit(user, "training", ASKED)
    seen: list[Seen] = []
    struck = 0

    async with asyncio.timeout(100), aclosing(user.frames(job)) as frames:
        async for each in frames:
            seen.append(each)
            told = each.frame.fraction if isinstance(each.frame, Progress) else None
            if told is not None and told >= 0.6 and not struck:
                left = (await user.get(job))["checkpoint"]
                assert left is not None
                struck = left["step"]
                await strike(system)

    assert seen[-1].type == "succeeded"
    first, *later = (await user.get(job, "/timeline"))["attempts"]
    assert (first["resumed_step"], len(later)) == (None, 1)
    assert later[0]["resumed_step"] >= struck > 0
    goes_on = f"Goes on from epoch {later[0]['resumed_step']}"
    assert goes_on in [each.frame.line for each in seen if isinstance(each.frame, Log)]
    whole, expected = unbroken
    for name in ("loss", "val_loss", "val_accuracy"):
        assert [step for step, _ in curve(seen, name)] == list(range(1, EPOCHS + 1))
        assert curve(seen, name) == curve(whole, name)
    made = (await user.get(job, "/result"))["result"]["model"]
    assert made["metrics"] == expected["metrics"]
    assert made["sha256"] == expected["sha256"]
    assert (await user.get(job))["checkpoint"] is None  # there is no more need of it


async def test_its_page_draws_the_curves_and_complains_of_nothing(
    user: User, system: System
) -> None:
    job = await submit(user, "training", {"input": {"epochs": 5}})
    assert (await user.watch(job))[-1].type == "succeeded"

    async with a_browser() as browser:
        seen = await shown(browser, f"{system.url}/jobs/{job['id']}")
        curves = seen.page.get_by_label("Metrics").get_by_role("img")
        await expect(curves).to_have_count(3)
        await expect(curves.nth(1)).to_have_accessible_name(re.compile(r"^Val loss: 0\.\d+"))
        await expect(seen.page.get_by_text("sklearn-npz")).to_be_visible()
        assert await seen.page.locator("#main img").count() == 0  # the artefact is no picture
        assert seen.complaints == []


async def test_what_was_trained_serves_by_its_name_while_another_training_runs(
    user: User, system: System
) -> None:
    asked = {"input": {"epochs": 8, "seed": 3}, "register_as": "digits"}
    made = await submit(user, "training", asked)
    assert (await user.watch(made))[-1].type == "succeeded"
    held_out = split(0.2, 3)
    rows = (held_out.held_out * SHADES).round().tolist()
    busy = await submit(user, "training", LONG)
    await user.until(busy, "metric")

    job = await submit(user, "inference", {"model": "digits", "input": {"rows": rows}})
    assert (await user.watch(job))[-1].type == "succeeded"

    assert (job["kind"], job["model"]) == ("inference", "digits@1")
    assert (await user.get(busy))["state"] == "running"
    labels = (await user.get(job, "/result"))["result"]["labels"]
    right = sum(a == b for a, b in zip(labels, held_out.held_out_digits, strict=True)) / len(rows)
    metrics = (await user.get(made, "/result"))["result"]["model"]["metrics"]
    assert right == pytest.approx(metrics["val_accuracy"])
    await user.cancel(busy)
