"""The commands against a real system: what they print, where, and the code they leave with."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from headrace.launch.errors import Exit
from headrace.testkit.system import System, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
Command = Any  # of conftest: a test module cannot import it


async def test_submit_prints_the_text_on_stdout_and_news_on_stderr(command: Command) -> None:
    ran = await command("submit", "echo", "one two three", "-i", "steps=4")

    assert (ran.code, ran.out) == (0, "one two three\n")
    assert ran.err.splitlines()[0].startswith("echo · echo · ")
    assert "steps 4/4" in ran.err
    assert ran.err.splitlines()[-1].startswith("succeeded in ")
    assert "\x1b" not in ran.out + ran.err


async def test_submit_as_json_prints_the_whole_job(command: Command) -> None:
    ran = await command("submit", "echo", "a b", "--json")

    job = json.loads(ran.out)
    assert (ran.code, job["state"], job["result"]["text"]) == (0, "succeeded", "a b")


async def test_submit_may_leave_at_once_and_watch_come_later(command: Command) -> None:
    job = (await command("submit", "echo", "later", "--no-watch")).out.strip()

    ran = await command("watch", job)

    assert (ran.code, ran.out) == (0, "later\n")


async def test_a_job_that_fails_says_why_and_leaves_with_one(command: Command) -> None:
    ran = await command("submit", "echo", "a", "-i", "fail=input")

    assert ran.code == 1
    assert "failed: text: is refused, as asked" in ran.err


async def test_a_job_that_starts_over_says_so(command: Command) -> None:
    ran = await command("submit", "echo", "a b", "-i", "fail=transient", "-i", "fail_attempts=1")

    assert ran.code == 0
    assert "starting over: busy, as asked" in ran.err
    assert ran.out.splitlines()[-1] == "a b"
    assert "2 attempts" in ran.err


async def test_ctrl_c_cancels_what_was_submitted(command: Command, interrupt: Any) -> None:
    process = await command.start("submit", "echo", "word", "-i", "repeat=999", "-i", "delay_s=0.1")
    await interrupt(process, b"to say")

    _, err = await process.communicate()

    assert process.returncode == 3
    assert b"cancelling the job" in err
    assert b"cancelled in" in err


async def test_ctrl_c_leaves_alone_what_is_watched(command: Command, interrupt: Any) -> None:
    given = ("echo", "word", "-i", "repeat=999", "-i", "delay_s=0.1")
    job = (await command("submit", *given, "--no-watch")).out.strip()
    process = await command.start("watch", job)
    await interrupt(process, b"to say")

    _, err = await process.communicate()

    assert process.returncode == 130
    assert f"headrace: Job {job} goes on".encode() in err
    assert (await command("cancel", job)).out == f"it will be stopped (running): {job}\n"
    assert (await command("watch", job)).code == 3


async def test_jobs_lists_what_there_is(command: Command) -> None:
    job = (await command("submit", "echo", "find me", "--no-watch")).out.strip()
    await command("watch", job)

    table = (await command("jobs", "--limit", "1")).out
    listed = json.loads((await command("jobs", "--state", "succeeded", "--json")).out)

    assert job in table
    assert "find me" in table
    assert job in [each["id"] for each in listed]


async def test_models_names_kinds_and_inputs(command: Command) -> None:
    ran = await command("models")

    assert "echo" in ran.out
    assert "text*, repeat, steps" in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("submit",), "--kind requires an argument"),
        (("frobnicate",), 'Unknown command "frobnicate"'),
        (("submit", "video", "x"), "No engine runs kind 'video'. Known kinds: echo"),
        (("submit", "echo", "x", "-m", "gpt"), "No model 'gpt' of kind 'echo'. Known: echo"),
        (("submit", "echo", "x", "-i", "repeat=lots"), "this should be a whole number"),
        (("submit", "echo", "x", "-i", "repeat=0"), "0 is less than the minimum of 1"),
        (("submit", "echo", "x", "--image", "nowhere.png"), "takes no picture"),
        (("watch", "nonesuch"), "No job nonesuch"),
        (("watch", "--json"), "are about one job"),
        (("cancel", "0b6c1f0e-6b1d-4a57-9c2f-0d9a4c1b7a11"), "No job 0b6c1f0e"),
        (("up", "--port", "99999"), "PORT=99999"),
        (("up", "worker"), "worker"),
        (("up", "gpu-worker"), "EXECUTION_MODE=MONOLITH runs every role in one process"),
    ],
)
async def test_a_mistake_is_one_plain_line(
    command: Command, arguments: tuple[str, ...], said: str
) -> None:
    ran = await command(*arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("headrace: ")
    assert ran.err.count("\n") == 1
    assert said in ran.err


async def test_a_wrong_key_names_the_variable(command: Command) -> None:
    ran = await command("jobs", HEADRACE_KEY="wrong")

    assert ran.code == 2
    assert "Set HEADRACE_KEY" in ran.err


async def test_nobody_there_names_the_remedy(bare: Command) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    ran = await bare("submit", "echo", "x", HEADRACE_URL=url)

    assert ran.code == 4
    assert ran.err == (
        f"headrace: No api answers at {url} (nobody listens there). "
        "Start one with `headrace up`, or name another: HEADRACE_URL=http://host:port.\n"
    )


async def test_a_taken_port_is_one_plain_line(bare: Command, system: System) -> None:
    ran = await bare("up", "--port", str(system.port), ENGINES="echo")

    assert ran.code == 2
    assert ran.err == (
        f"headrace: Port {system.port} on 127.0.0.1 is taken by another program. "
        f"Stop it, or choose another port: PORT={system.port + 1}.\n"
    )


async def test_a_paused_lane_holds_a_job_back_and_explain_says_so(command: Command) -> None:
    paused = await command("pause", "echo", HEADRACE_KEY="key-of-admin")
    job = (await command("submit", "echo", "held", "--no-watch")).out.strip()
    explained = await command("explain", job)
    resumed = await command("resume", "echo", HEADRACE_KEY="key-of-admin")

    assert (paused.code, resumed.code) == (0, 0)
    assert explained.out.splitlines()[0] == "queued · lane_paused"
    assert explained.out.splitlines()[-1] == "would help: resume lane echo"
    assert (await command("watch", job)).out == "held\n"


async def test_only_the_admin_s_key_pauses(command: Command) -> None:
    ran = await command("pause", "echo")

    assert ran.code == 2
    assert "ADMIN_KEY" in ran.err


async def test_help_tells_every_code_that_a_command_leaves_with(command: Command) -> None:
    said = " ".join((await command("--help")).out.split())

    for code in Exit:
        assert re.search(rf"\b{int(code)} \w+", said.partition("Exit codes:")[2]), code
