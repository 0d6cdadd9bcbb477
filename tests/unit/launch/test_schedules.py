"""`headrace schedules` and `headrace retry` against a real system."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.launch.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")
Command = Any  # of conftest: a test module cannot import it
EVERY_MORNING = ("schedules", "create", "0 6 * * MON-FRI", "echo", "good morning")


async def created(inside: Command, *more: str) -> dict[str, Any]:
    ran = await inside(*EVERY_MORNING, *more, "--json")
    assert ran.code == 0, ran.err
    made: dict[str, Any] = json.loads(ran.out)
    return made


async def test_a_schedule_is_made_from_words_and_typed_by_the_model_s_schema(
    inside: Command,
) -> None:
    made = await created(inside, "--timezone", "Europe/Berlin", "-i", "steps=2", "--priority", "5")

    assert (made["cron"], made["timezone"]) == ("0 6 * * MON-FRI", "Europe/Berlin")
    assert made["job"]["input"] == {"text": "good morning", "steps": 2}
    assert made["job"]["priority"] == 5


async def test_a_schedule_has_its_life(inside: Command, client: Client) -> None:
    schedule = (await created(inside))["id"]

    assert "makes nothing more" in (await inside("schedules", "pause", schedule)).out
    listed = await inside("schedules", COLUMNS="80")
    (line,) = [line for line in listed.out.splitlines() if line.startswith(schedule)]
    assert "paused" in line
    assert "good morning"[:6] in line
    assert "It fires next" in (await inside("schedules", "resume", schedule)).out

    job = (await inside("schedules", "run-now", schedule)).out.strip()
    assert (await client.job(job))["input"] == {"text": "good morning"}
    shown = await inside("schedules", "show", schedule)
    assert job in shown.out
    assert "0 6 * * MON-FRI (UTC)" in shown.out
    assert "At 06:00 on Monday through Friday" in shown.out

    assert "is gone" in (await inside("schedules", "delete", schedule)).out
    assert (await inside("schedules", "show", schedule)).code == 2


async def test_a_schedule_of_runs_has_its_life(inside: Command, client: Client) -> None:
    """Its inputs are typed by what the pipeline takes: a number is a text here."""
    every = ("schedules", "create", "0 6 * * *", "--pipeline", "chain", "--priority", "3")
    made = json.loads(
        (await inside(*every, "--deadline", "900", "-i", "text=7", "--json")).out,
    )

    listed = await inside("schedules", COLUMNS="160")
    run = (await inside("schedules", "run-now", made["id"])).out.strip()
    shown = (await inside("schedules", "show", made["id"])).out

    asked = {"pipeline": "chain", "input": {"text": "7"}, "priority": 3, "deadline_s": 900.0}
    assert made["run"] == {**asked, "labels": {}}
    (line,) = [line for line in listed.out.splitlines() if line.startswith(made["id"])]
    assert "run of chain: 7" in line
    begun = await client.ask("GET", f"/runs/{run}")
    assert (begun["priority"], begun["deadline_s"]) == (3, 900.0)
    assert "900 s for all of it" in (await inside("runs", "show", run)).out
    assert run in shown
    assert "chain" in shown
    assert "is gone" in (await inside("schedules", "delete", made["id"])).out


async def test_the_same_key_makes_one_schedule_and_one_job(inside: Command) -> None:
    first = await created(inside, "--idempotency-key", "every-morning")
    again = await created(inside, "--idempotency-key", "every-morning")
    run = ("schedules", "run-now", first["id"], "--idempotency-key", "just-once")

    assert first["id"] == again["id"]
    assert (await inside(*run)).out == (await inside(*run)).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "61 * * * *", "echo", "x"), "Bad minute"),
        (("create", "* * * * *", "echo", "x", "--timezone", "Nowhere"), "Nowhere"),
        (("create", "* * * * *", "video", "x"), "Known kinds: echo"),
        (("create", "* * * * *", "echo", "x", "--deadline", "9"), "--deadline is for the runs"),
        (("create", "* * * * *", "echo", "x", "-i", "repeat=0"), "less than the minimum"),
        (("create", "* * * * *"), "a KIND of job, or a --pipeline"),
        (("create", "* * * * *", "echo", "--pipeline", "chain"), "a KIND of job, or a --pipeline"),
        (("create", "* * * * *", "--pipeline", "gone"), "No pipeline 'gone'. Known: illustrate"),
        (("create", "* * * * *", "--pipeline", "chain", "-i", "x=1"), "the inputs are text"),
        (("create", "* * * * *", "--pipeline", "chain", "-m", "x"), "models and timeouts"),
        (("show", "nonesuch"), "No schedule nonesuch"),
    ],
)
async def test_a_mistake_is_one_plain_line(
    inside: Command, arguments: tuple[str, ...], said: str
) -> None:
    ran = await inside("schedules", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert said in ran.err


async def test_retry_runs_a_job_that_ended_again_and_links_the_two(
    command: Command, inside: Command
) -> None:
    old = json.loads((await command("submit", "echo", "again", "--json")).out)["id"]

    retried = await command("retry", old, "--json")
    left = await inside("retry", old, "--no-watch", "--idempotency-key", "once")
    same = await inside("retry", old, "--no-watch", "--idempotency-key", "once")

    new = json.loads(retried.out)
    assert (retried.code, new["state"], new["retry_of"]) == (0, "succeeded", old)
    assert left.out == same.out
    assert left.out.strip() not in {old, new["id"]}
