"""`headrace trace` and `headrace logs`: one job explained in a terminal, with no server but the api."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace.launch.chart import bars
from headrace.launch.client import Client
from headrace.testkit.waits import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
Command = Any  # of conftest: a test module cannot import it


async def a_retried_job(client: Client) -> str:
    given = {"text": "one two", "fail": "transient", "fail_attempts": 1, "delay_s": 0.2}
    job = str((await client.submit({"kind": "echo", "input": given}))["id"])

    async def ended() -> bool:
        return bool((await client.job(job))["state"] == "succeeded")

    await eventually(ended, within=30, every=0.1)
    return job


async def test_a_trace_shows_each_attempt_to_scale_and_why_there_was_another(
    inside: Command, client: Client
) -> None:
    job = await a_retried_job(client)

    drawn = await inside("trace", job, COLUMNS="110")

    lines = drawn.out.splitlines()
    assert f"job {job} · succeeded in " in lines[0]
    stages = [line.split()[:2] for line in lines if line[:1].isdigit()]
    assert ["1", "run"] in stages
    assert ["2", "run"] in stages
    assert any("attempt 1 failed on" in line and "transient: busy" in line for line in lines)
    first, second = (next(line for line in lines if line.startswith(f"{n} run")) for n in "12")
    assert first.index("█") < second.index("█"), "what came later stands further right"
    assert first.count("█") < second.count("█"), "one word, then two"


async def test_why_there_was_another_takes_no_room_from_the_times(
    inside: Command, client: Client
) -> None:
    job = await a_retried_job(client)

    lines = (await inside("trace", job, COLUMNS="80")).out.splitlines()

    why = next(line for line in lines if "attempt 1 failed on" in line)
    assert len(why.strip()) > 80 - 55, "longer than the bars"
    assert all("s engine worked" in line for line in lines if line[1:6] == " run ")


async def test_a_trace_id_finds_its_job(inside: Command, client: Client) -> None:
    job = await a_retried_job(client)
    by_job = json.loads((await inside("trace", job, "--json")).out)

    by_trace = json.loads((await inside("trace", by_job["trace_id"], "--json")).out)

    assert by_trace["job"] == job
    assert by_trace == by_job


async def test_operators_see_anybodys_trace(inside: Command, client: Client) -> None:
    job = await a_retried_job(client)
    own = json.loads((await inside("trace", job, "--json")).out)

    by_job = await inside("trace", job, "--all", "--json", HEADRACE_KEY="key-of-admin")
    by_trace = await inside(
        "trace", own["trace_id"], "--all", "--json", HEADRACE_KEY="key-of-admin"
    )
    refused = await inside("trace", job, HEADRACE_KEY="key-of-admin")

    assert json.loads(by_job.out) == json.loads(by_trace.out) == own
    assert refused.code == 2
    assert "add --all" in refused.err


async def test_for_a_program_the_bars_add_up_to_the_whole(inside: Command, client: Client) -> None:
    told = json.loads((await inside("trace", await a_retried_job(client), "--json")).out)

    assert {bar["attempt"] for bar in told["bars"]} == {1, 2}
    last = max(bar["start_s"] + bar["length_s"] for bar in told["bars"])
    assert last == pytest.approx(told["total_s"], abs=0.02)
    assert [each["outcome"] for each in told["attempts"]] == ["failed", "succeeded"]
    assert told["attempts"][0]["error"]["kind"] == "transient"


async def test_a_trace_that_nobody_knows_is_refused(inside: Command) -> None:
    ran = await inside("trace", "0" * 31 + "1")

    assert ran.code == 2
    assert "No job of the latest 1,000" in ran.err


async def test_the_log_of_a_job_reads_from_its_beginning_to_its_end(
    inside: Command, client: Client
) -> None:
    job = await a_retried_job(client)

    ran = await inside("logs", job)

    lines = [line.split(maxsplit=1)[1] for line in ran.out.splitlines()]
    assert lines[0] == "submitted"
    assert lines[-1] == "succeeded"
    assert "attempt 1 failed: transient: busy, as asked" in lines
    assert "2 words to say" in lines


async def test_a_log_as_json_is_the_apis_answer(inside: Command, client: Client) -> None:
    job = await a_retried_job(client)

    told = json.loads((await inside("logs", job, "--limit", "1", "--json")).out)

    assert told["id"] == job
    assert sum(line["source"] == "engine" for line in told["lines"]) == 1
    assert told["left_out"] == 1


def a_timeline(state: str, *attempts: dict[str, Any]) -> dict[str, Any]:
    return {"created_at": "2026-01-01T00:00:00Z", "state": state, "attempts": list(attempts)}


def an_attempt(**fields: Any) -> dict[str, Any]:
    usual = {
        "attempt": 1,
        "started_at": "2026-01-01T00:00:01Z",
        "ended_at": None,
        "waited_s": 1.0,
        "stages": None,
        "outcome": None,
    }
    return {**usual, **fields}


NOW = datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)


async def test_a_job_that_waits_has_a_bar_up_to_now() -> None:
    (bar,) = bars(a_timeline("queued"), now=NOW)

    assert (bar.stage, bar.start_s, bar.length_s) == ("queue", 0, 10)


async def test_a_job_that_runs_has_a_bar_up_to_now() -> None:
    drawn = {bar.stage: bar.length_s for bar in bars(a_timeline("running", an_attempt()), now=NOW)}

    assert drawn == {"queue": 1.0, "running": 9.0}


async def test_a_lost_attempt_is_called_that_and_the_wait_after_it_is_shown() -> None:
    lost = an_attempt(ended_at="2026-01-01T00:00:04Z", outcome="lost")

    drawn = bars(a_timeline("queued", lost), now=NOW)

    assert [(bar.attempt, bar.stage) for bar in drawn if bar.length_s > 0] == [
        (1, "queue"),
        (1, "lost"),
        (2, "queue"),
    ]
    assert drawn[-1].length_s == 6.0
