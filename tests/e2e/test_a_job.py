"""A user's story of one job, the same in both modes."""

from __future__ import annotations

import httpx
import pytest

from headrace.testkit.client import User, text_of
from headrace.testkit.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]


async def test_a_job_runs_from_request_to_result(user: User) -> None:
    job = await user.echo("one two three")

    seen = await user.watch(job)

    assert [each.type for each in seen][:2] == ["queued", "started"]
    assert seen[-1].type == "succeeded"
    assert text_of(seen) == "one two three"
    assert (await user.get(job, "/result"))["result"] == {"text": "one two three", "words": 3}


async def test_every_frame_comes_once_and_in_order(user: User) -> None:
    job = await user.echo("word", repeat=500)

    seen = await user.watch(job)

    positions = [each.position for each in seen]
    assert positions == sorted(set(positions))
    assert text_of(seen) == " ".join(["word"] * 500)


async def test_a_reader_who_comes_late_sees_it_all(user: User) -> None:
    job = await user.echo("a b c")
    live = await user.watch(job)

    assert await user.watch(job) == live


async def test_a_reader_who_comes_back_gets_what_was_missed_and_no_more(user: User) -> None:
    job = await user.echo("word", repeat=50)
    whole = await user.watch(job)

    rest = await user.watch(job, after=str(whole[20].position))

    assert rest == whole[21:]


async def test_a_job_that_fails_for_a_while_is_tried_again(user: User) -> None:
    job = await user.echo("one two", fail="transient", fail_attempts=1)

    seen = await user.watch(job)

    types = [each.type for each in seen]
    assert types.count("started") == 2
    assert types.count("attempt") == 1
    assert types[-1] == "succeeded"
    assert text_of(seen) == "one two"


async def test_a_job_whose_engine_crashes_runs_again_elsewhere(user: User) -> None:
    job = await user.echo("one two", fail="crash", fail_attempts=1)

    seen = await user.watch(job)

    assert seen[-1].type == "succeeded"
    attempts = (await user.get(job, "/timeline"))["attempts"]
    assert [each["outcome"] for each in attempts] == ["failed", "succeeded"]
    assert attempts[0]["error"]["kind"] == "worker_lost"


async def test_a_wrong_input_that_only_the_engine_sees_fails_at_once(user: User) -> None:
    job = await user.echo("one two", fail="input")

    seen = await user.watch(job)

    assert seen[-1].type == "failed"
    record = await user.get(job)
    assert record["error"]["kind"] == "input"
    assert record["attempt"] == 1


async def test_a_job_that_always_fails_is_parked_as_dead(user: User) -> None:
    job = await user.echo("one two", fail="internal")

    seen = await user.watch(job)

    assert seen[-1].type == "dead"
    assert [each.type for each in seen].count("started") == 3


async def test_a_running_job_is_cancelled(user: User) -> None:
    job = await user.echo("word", repeat=1000, delay_s=0.05)
    await user.until(job, "token")

    await user.cancel(job)

    assert (await user.watch(job))[-1].type == "cancelled"
    assert (await user.get(job))["state"] == "cancelled"


async def test_a_job_that_does_not_listen_is_cancelled_by_force(user: User) -> None:
    job = await user.echo("one two", fail="hang")
    await user.until(job, "token")

    await user.cancel(job)

    assert (await user.watch(job))[-1].type == "cancelled"


async def test_a_job_that_waits_is_cancelled_before_it_starts(user: User) -> None:
    job = await user.submit("echo", input={"text": "later"}, run_at="2100-01-01T00:00:00Z")

    await user.cancel(job)

    seen = await user.watch(job)
    assert seen[-1].type == "cancelled"
    assert "started" not in [each.type for each in seen]


async def test_a_job_that_takes_too_long_is_stopped(user: User) -> None:
    job = await user.submit("echo", input={"text": "a", "repeat": 999, "delay_s": 0.1}, timeout=1)

    assert (await user.watch(job))[-1].type == "failed"
    assert (await user.get(job))["error"]["kind"] == "deadline"


async def test_the_same_key_never_makes_a_second_job(user: User, system: System) -> None:
    body = {"kind": "echo", "input": {"text": "once"}}
    headers = {"Idempotency-Key": "only-once"}

    first = await user.http.post("/jobs", json=body, headers=headers)
    again = await user.http.post("/jobs", json=body, headers=headers)
    other = await user.http.post("/jobs", json={**body, "priority": 1}, headers=headers)

    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.status_code == 422


async def test_a_short_job_can_be_waited_for(user: User) -> None:
    answer = await user.http.post(
        "/jobs", json={"kind": "echo", "input": {"text": "now"}}, headers={"Prefer": "wait=10"}
    )

    assert answer.status_code == 200
    assert answer.json()["result"]["text"] == "now"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"kind": "nobody", "input": {}}', 422),
        (b'{"kind": "echo", "model": "nobody", "input": {"text": "a"}}', 422),
        (b'{"kind": "echo", "input": {"text": 7}}', 422),
        (b'{"kind": "echo", "input": {"text": "a", "nonsense": 1}}', 422),
        (b'{"kind": "echo", "input": ', 400),
        (b'{"kind": "echo", "input": {"text": "a\\u0000b"}}', 400),
        (b'{"kind": "echo", "input": {"text": "' + b"x" * (2 << 20) + b'"}}', 413),
    ],
)
async def test_bad_input_is_refused_at_the_door_and_nothing_is_kept(
    user: User, body: bytes, status: int
) -> None:
    before = await newest(user)

    answer = await user.http.post(
        "/jobs", content=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["title"]
    assert await newest(user) == before


async def newest(user: User) -> list[str]:
    """Which job it is, and not how far: one of a test before may still be running."""
    found = (await user.http.get("/jobs", params={"limit": 1})).json()["jobs"]
    return [job["id"] for job in found]


async def test_an_unknown_job_is_not_found(user: User) -> None:
    answer = await user.http.get("/jobs/0b6c1f0e-6b1d-4a57-9c2f-0d9a4c1b7a11")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_wrong_key_is_refused_even_where_none_is_needed(system: System) -> None:
    async with httpx.AsyncClient(base_url=system.url, trust_env=False) as stranger:
        answer = await stranger.get("/jobs", headers={"apikey": "not-a-key"})

    assert answer.status_code == 401


async def test_an_input_too_large_for_a_message_travels_as_a_blob(user: User) -> None:
    text = "word " * 15_000

    job = await user.echo(text)

    seen = await user.watch(job)
    assert seen[-1].type == "succeeded"
    assert set(job["input"]) == {"input_blob"}
    output = (await user.get(job, "/result"))["result"]
    assert set(output) == {"output_blob"}
    kept = await user.http.get(f"/blobs/{output['output_blob']}")
    assert kept.json()["words"] == 15_000
