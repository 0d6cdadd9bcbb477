"""What operators do about every tenant's jobs, the workers and the whole, from the command line."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from headrace.launch.cli import app
from headrace.launch.client import Client
from headrace.launch.view import ENDED
from headrace.testkit.waits import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
Command = Any  # of conftest: a test module cannot import it
ADMIN = {"HEADRACE_KEY": "key-of-admin", "HEADRACE_OPERATOR": "ann"}
NOBODY = "00000000-0000-4000-8000-000000000000"


async def submitted(client: Client, **given: Any) -> str:
    return str((await client.submit({"kind": "echo", "input": {"text": "hi", **given}}))["id"])


async def ended(client: Client, job: str, state: str) -> None:
    async def so() -> str:
        found = str((await client.job(job))["state"])
        return found if found in ENDED else ""

    assert await eventually(so, within=30, every=0.1) == state


@pytest_asyncio.fixture(loop_scope="module")
async def waiting(inside: Command, client: Client) -> AsyncGenerator[list[str]]:
    """Three jobs of tenant red that nobody takes, as their lane is paused."""
    await inside("pause", "echo", **ADMIN)
    jobs = [await submitted(client) for _ in range(3)]
    yield jobs
    await inside("resume", "echo", **ADMIN)
    for job in jobs:
        if (await client.job(job))["state"] not in ENDED:
            await ended(client, job, "succeeded")


async def test_an_overview_is_one_screen(inside: Command, client: Client) -> None:
    await ended(client, await submitted(client), "succeeded")

    async def at_rest() -> Any:
        """The worker says with its next heartbeat that the slot is free again."""
        shown = await inside("overview", "--window", "60", COLUMNS="100", **ADMIN)
        assert "1 worker, 0 of 1 slot busy" in shown.out
        return shown

    shown = await eventually(at_rest, within=20, every=0.2)
    told = json.loads((await inside("overview", "--json", **ADMIN)).out)

    assert shown.code == 0
    assert re.search(r"jobs/s \(.*[1-9] succeeded.*\), .*% failed", shown.out), shown.out
    assert "attended" in shown.out
    assert (told["workers"]["alive"], len(told["series"])) == (1, 60)


async def test_lanes_tell_how_much_waits_and_for_how_long(
    inside: Command, waiting: list[str]
) -> None:
    shown = (await inside("lanes", COLUMNS="100", **ADMIN)).out.splitlines()

    assert shown[0].split()[:3] == ["lane", "waiting", "oldest"]
    assert shown[1].split()[:2] == ["echo", "3"]


async def test_everybodys_jobs_are_found_and_a_tenants_key_finds_its_own_alone(
    inside: Command, client: Client, waiting: list[str]
) -> None:
    found = await inside("jobs", "--all", "--tenant", "red", "--state", "queued", "--json", **ADMIN)
    table = await inside("jobs", "--all", "--state", "queued", COLUMNS="100", **ADMIN)
    refused = await inside("jobs", "--all")
    page = await inside("jobs", "--all", "--limit", "1", COLUMNS="200", **ADMIN)

    assert {job["id"] for job in json.loads(found.out)} == set(waiting)
    assert table.out.splitlines()[0].split() == ["job", "tenant", "kind", "state", "age", "says"]
    assert "Older ones: --cursor " in page.out
    assert refused.code == 2


async def test_failed_jobs_are_found_by_what_they_said_and_retried_together(
    inside: Command, client: Client
) -> None:
    job = await submitted(client, fail="input", text="mended later")
    await ended(client, job, "failed")
    said = (await client.job(job))["error"]["message"]
    words = ("--all", "--error", said[:20].upper())

    found = json.loads((await inside("jobs", *words, "--json", **ADMIN)).out)
    dry = await inside("retry", *words, "--dry-run", **ADMIN)
    done = await inside("retry", "--all", job, "--json", **ADMIN)

    assert [each["id"] for each in found] == [job]
    assert dry.out == "1 job would be tried again as new jobs.\n"
    assert json.loads(done.out) == {"matched": 1, "done": 1, "refused": []}
    again = json.loads((await inside("jobs", "--all", "--limit", "1", "--json", **ADMIN)).out)
    assert again[0]["retry_of"] == job
    await ended(client, again[0]["id"], "failed")


async def test_many_are_cancelled_by_what_they_have_in_common(
    inside: Command, client: Client, waiting: list[str]
) -> None:
    which = ("--all", "--tenant", "red", "--state", "queued")

    dry = await inside("cancel", *which, "--dry-run", **ADMIN)
    done = await inside("cancel", *which, **ADMIN)
    nothing = await inside("cancel", "--all", NOBODY, waiting[0], **ADMIN)

    assert dry.out == "3 jobs would be asked to end.\n"
    assert done.out == "3 jobs asked to end.\n"
    for job in waiting:
        await ended(client, job, "cancelled")
    assert (nothing.code, f"not {NOBODY}: there is no such job" in nothing.out) == (2, True)


async def test_a_waiting_job_is_explained_and_moved(inside: Command, waiting: list[str]) -> None:
    explained = await inside("explain", waiting[2], "--all", **ADMIN)
    front = await inside("move", waiting[2], "--to", "front", **ADMIN)
    back = json.loads((await inside("move", waiting[0], "--to", "back", "--json", **ADMIN)).out)
    urgent = await inside("move", waiting[0], "--priority", "9", **ADMIN)

    assert "lane_paused" in explained.out
    assert "next in line" in front.out
    assert back["queue_position"] == 2
    assert "priority 9, next in line" in urgent.out


@pytest.mark.timeout(120)
async def test_a_worker_is_shown_drained_and_let_on(inside: Command, client: Client) -> None:
    (worker,) = json.loads((await inside("workers", "--json", **ADMIN)).out)

    async def says(state: str, part: str) -> bool:
        (found,) = json.loads((await inside("workers", "list", "--json", **ADMIN)).out)
        return found["state"] == state and part in found["why"]

    assert await eventually(lambda: says("alive", "waits for offers of lane echo"), within=30)
    table = await inside("workers", COLUMNS="100", **ADMIN)
    drained = await inside("workers", "drain", worker["id"], **ADMIN)
    assert await eventually(lambda: says("draining", "It is drained"), within=30, every=0.3)
    shown = await inside("workers", "show", worker["id"], **ADMIN)
    await inside("workers", "resume", worker["id"], **ADMIN)
    assert await eventually(lambda: says("alive", "waits for offers"), within=30, every=0.3)
    await ended(client, await submitted(client), "succeeded")

    assert table.out.splitlines()[0].split()[:4] == ["worker", "state", "busy", "memory"]
    assert "is draining" in drained.out
    assert f"worker {worker['id']} · draining" in shown.out
    assert "receives" in shown.out
    assert "MiB" in shown.out


@pytest.mark.timeout(120)
async def test_a_dead_letter_is_rehearsed_and_replayed_with_a_mended_input(
    inside: Command, client: Client, tmp_path: Path
) -> None:
    job = await submitted(client, fail="internal", fail_attempts=99)
    await ended(client, job, "dead")
    letters = json.loads((await inside("dead-letters", "list", "--json", **ADMIN)).out)
    (number,) = [str(each["number"]) for each in letters if each["job"] == job]
    (tmp_path / "mended.json").write_text('{"text": "mended"}')
    (tmp_path / "wrong.json").write_text('{"text": 7}')

    would = await inside("dead-letters", "replay", number, "--dry-run", **ADMIN)
    wrong = ("--input", str(tmp_path / "wrong.json"))
    unfit = await inside("dead-letters", "replay", number, "--dry-run", *wrong, **ADMIN)
    refused = await inside("dead-letters", "replay", number, *wrong, **ADMIN)
    every = await inside("dead-letters", "replay", "--all", "--dry-run", **ADMIN)
    mended = ("--input", str(tmp_path / "mended.json"))
    done = await inside("dead-letters", "replay", number, *mended, "--json", **ADMIN)

    assert (would.code, unfit.code, refused.code, every.code) == (0, 1, 2, 0)
    assert "would run again as a new job in lane echo." in would.out
    assert "does not fit" in unfit.out
    assert "would be replayed" in every.out
    await ended(client, json.loads(done.out)["retried_as"], "succeeded")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("jobs", "--error", "CUDA"), "--error is about every tenant's jobs: add --all."),
        (("cancel",), "Say which job"),
        (("cancel", "a", "b"), "add --all"),
        (("cancel", "--state", "queued"), "add --all"),
        (("retry", NOBODY, "--dry-run"), "add --all"),
        (("cancel", "--all"), "Say which"),
        (("cancel", "--all", NOBODY, "--state", "queued"), "Say which"),
        (("move", NOBODY), "Say where"),
        (("move", NOBODY, "--priority", "999"), "--priority"),
        (("overview", "--window", "7"), "--window"),
        (("workers", "drain", "w9"), "No worker w9"),
        (("workers", "show", "w9"), "No worker 'w9'"),
        (("dead-letters", "replay", "--all", "--input", "x.json"), "--input is about one"),
        (("dead-letters", "replay", "1", "--input", "x.json"), "Cannot read x.json"),
    ],
)
async def test_a_mistake_is_one_plain_line(
    inside: Command, arguments: tuple[str, ...], said: str
) -> None:
    ran = await inside(*arguments, **ADMIN)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("headrace: ")
    assert ran.err.count("\n") == 1
    assert said in ran.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_a_shell_is_told_every_command_to_complete(shell: Any) -> None:
    script = app.generate_completion(shell=shell)

    for command in ("overview", "jobs", "workers", "drain", "dead-letters", "move"):
        assert command in script


async def test_completion_is_installed_by_one_option(bare: Command, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    ran = await bare("--install-completion", HOME=str(home), SHELL="/bin/bash")

    assert ran.code == 0, ran.err
    written = [path for path in home.rglob("*") if path.is_file()]
    assert any("overview" in path.read_text() for path in written), written
    assert os.fspath(home) in ran.out + ran.err
