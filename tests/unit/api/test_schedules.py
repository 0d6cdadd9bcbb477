"""`/schedules`: made, shown, paused, run and deleted, by their owner alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from headrace.api.deps import ApiDeps
from headrace.core.usecases.admit import Admission, Caps
from headrace.testkit.apps import create_app
from headrace.testkit.runs_at_the_door import PIPELINES

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
ASKED = {
    "cron": "0 6 * * MON-FRI",
    "timezone": "Europe/Berlin",
    "job": {"kind": "echo", "input": {"text": "morning"}, "labels": {"team": "red"}},
}
RUNS: dict[str, Any] = {
    "cron": "0 6 * * MON-FRI",
    "run": {"pipeline": "chain", "input": {"text": "morning"}, "labels": {"team": "red"}},
}
NOBODYS = "0b6c1f0e-6b1d-4a57-9c2f-0d9a4c1b7a11"


@pytest.fixture
def app(deps: ApiDeps) -> FastAPI:
    return create_app(replace(deps, pipelines=PIPELINES))


async def make(http: httpx.AsyncClient, **headers: str) -> Any:
    answer = await http.post("/schedules", json=ASKED, headers={**RED, **headers})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_schedule_is_made_and_shown(http: httpx.AsyncClient) -> None:
    made = await make(http)

    shown = (await http.get(f"/schedules/{made['id']}", headers=RED)).json()

    assert shown == {**made, "fires": []}
    assert (made["cron"], made["timezone"]) == ("0 6 * * MON-FRI", "Europe/Berlin")
    assert made["in_words"] == "At 06:00 on Monday through Friday"
    assert made["job"]["input"] == {"text": "morning"}
    assert made["next_at"] > made["created_at"]


async def test_schedules_are_listed_page_by_page(http: httpx.AsyncClient) -> None:
    made = [(await make(http))["id"] for _ in range(3)]

    first = (await http.get("/schedules", params={"limit": 2}, headers=RED)).json()
    rest = (
        await http.get("/schedules", params={"limit": 2, "cursor": first["next"]}, headers=RED)
    ).json()

    listed = [each["id"] for each in first["schedules"] + rest["schedules"]]
    assert sorted(listed) == sorted(made)
    assert rest["next"] is None
    assert (await http.get("/schedules", headers=BLUE)).json()["schedules"] == []


async def test_the_same_key_makes_one_schedule(http: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "k"}

    first, again = await make(http, **key), await make(http, **key)
    other = await http.post("/schedules", json={**ASKED, "cron": "* * * * *"}, headers=RED | key)

    assert first == again
    assert other.status_code == 422
    assert len((await http.get("/schedules", headers=RED)).json()["schedules"]) == 1


async def test_a_schedule_of_runs_is_made_and_run_now_begins_one_run_for_a_key(
    http: httpx.AsyncClient,
) -> None:
    made = (await http.post("/schedules", json=RUNS, headers=RED)).raise_for_status().json()
    key = {**RED, "Idempotency-Key": "k"}

    first = await http.post(f"/schedules/{made['id']}/run-now", headers=key)
    again = await http.post(f"/schedules/{made['id']}/run-now", headers=key)

    assert made["job"] is None
    assert made["run"] == {**RUNS["run"], "priority": 0, "deadline_s": None}
    assert made["next_at"] > made["created_at"]
    assert first.status_code == 202
    assert again.json() == first.json()
    run = first.json()
    assert (run["pipeline"], run["state"]) == ("chain", "running")
    assert run["labels"] == {"team": "red", "headrace/schedule": made["id"]}
    shown = (await http.get(f"/schedules/{made['id']}", headers=RED)).json()
    assert [(fire["job"], fire["run"]) for fire in shown["fires"]] == [(None, run["id"])]
    assert [each["id"] for each in (await listed(http))] == [run["id"]]


async def listed(http: httpx.AsyncClient) -> list[Any]:
    found: list[Any] = (await http.get("/runs", headers=RED)).json()["runs"]
    return found


async def test_a_run_that_is_run_now_counts_as_the_jobs_that_begin_with_it(
    deps: ApiDeps,
) -> None:
    texts = {"pipeline": "fan", "input": {"texts": ["a", "b"]}}
    full = replace(deps, pipelines=PIPELINES, admission=Admission(Caps(per_tenant=1)))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(full)), base_url="http://test"
    ) as http:
        asked = {**RUNS, "run": texts}
        made = (await http.post("/schedules", json=asked, headers=RED)).raise_for_status().json()

        answer = await http.post(f"/schedules/{made['id']}/run-now", headers=RED)

        shown = (await http.get(f"/schedules/{made['id']}", headers=RED)).json()
        assert answer.status_code == 429
        assert (shown["fires"], await listed(http)) == ([], [])


@pytest.mark.parametrize(
    ("run", "slug", "pointer"),
    [
        ({"pipeline": "gone", "input": {}}, "unknown-pipeline", "/run/pipeline"),
        ({"pipeline": "chain", "input": {}}, "invalid-input", "/run/input/text"),
        ({"pipeline": "no-engine", "input": {"text": "a"}}, "bad-pipeline", None),
        ({"pipeline": "chain"}, "invalid", "/run/input"),
    ],
)
async def test_a_run_that_could_not_begin_is_refused_with_the_place(
    http: httpx.AsyncClient, run: dict[str, Any], slug: str, pointer: str | None
) -> None:
    answer = await http.post("/schedules", json={**RUNS, "run": run}, headers=RED)

    assert answer.status_code == 422
    assert answer.json()["type"] == f"urn:headrace:problem:{slug}"
    assert answer.json().get("pointer") == pointer
    assert (await http.get("/schedules", headers=RED)).json()["schedules"] == []


@pytest.mark.parametrize("both", [{}, {"job": ASKED["job"], "run": RUNS["run"]}])
async def test_a_schedule_has_a_job_or_a_run(http: httpx.AsyncClient, both: dict[str, Any]) -> None:
    answer = await http.post("/schedules", json={"cron": "0 6 * * *", **both}, headers=RED)

    assert answer.status_code == 422
    assert "a job or a run, and not both" in answer.text


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"cron": "every day"}, "/cron"),
        ({"cron": "* * * * * *"}, "/cron"),
        ({"timezone": "Europe/Nowhere"}, "/timezone"),
        ({"job": {"kind": "nobody", "input": {}}}, "/job/kind"),
        ({"job": {"kind": "echo", "input": {"times": 1}}}, "/job/input"),
        ({"job": {"kind": "echo", "input": {"text": "a"}, "run_at": "x"}}, "/job/run_at"),
        ({"nonsense": 1}, "/nonsense"),
    ],
)
async def test_what_could_not_run_is_refused_with_the_place(
    http: httpx.AsyncClient, change: dict[str, Any], pointer: str
) -> None:
    answer = await http.post("/schedules", json={**ASKED, **change}, headers=RED)

    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["pointer"] == pointer
    assert (await http.get("/schedules", headers=RED)).json()["schedules"] == []


async def test_a_schedule_is_paused_and_resumed(http: httpx.AsyncClient) -> None:
    made = await make(http)

    paused = (await http.post(f"/schedules/{made['id']}/pause", headers=RED)).json()
    again = (await http.post(f"/schedules/{made['id']}/pause", headers=RED)).json()
    resumed = (await http.post(f"/schedules/{made['id']}/resume", headers=RED)).json()

    assert paused["paused_at"] is not None
    assert again == paused
    assert resumed == made


async def test_run_now_makes_one_job_for_a_key(http: httpx.AsyncClient) -> None:
    made, headers = await make(http), {**RED, "Idempotency-Key": "k"}

    first = await http.post(f"/schedules/{made['id']}/run-now", headers=headers)
    again = await http.post(f"/schedules/{made['id']}/run-now", headers=headers)

    assert first.status_code == 202
    assert again.json() == first.json()
    job = first.json()
    assert job["labels"] == {"team": "red", "headrace/schedule": made["id"]}
    (fire,) = (await http.get(f"/schedules/{made['id']}", headers=RED)).json()["fires"]
    assert fire["job"] == job["id"]


async def test_a_deleted_schedule_is_gone_and_its_jobs_stay(http: httpx.AsyncClient) -> None:
    made, headers = await make(http), {**RED, "Idempotency-Key": "k"}
    job = (await http.post(f"/schedules/{made['id']}/run-now", headers=RED)).json()

    first = await http.delete(f"/schedules/{made['id']}", headers=headers)
    again = await http.delete(f"/schedules/{made['id']}", headers=headers)
    without = await http.delete(f"/schedules/{made['id']}", headers=RED)

    assert (first.status_code, again.status_code, without.status_code) == (204, 204, 404)
    assert (await http.get(f"/jobs/{job['id']}", headers=RED)).status_code == 200


@pytest.mark.parametrize("schedule", [NOBODYS, "nonsense", "%00"])
@pytest.mark.parametrize("part", ["", "/pause", "/resume", "/run-now"])
async def test_what_is_not_there_is_not_found(
    http: httpx.AsyncClient, schedule: str, part: str
) -> None:
    method = "POST" if part else "GET"

    answer = await http.request(method, f"/schedules/{schedule}{part}", headers=RED)

    assert answer.status_code in {400, 404}
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("part", ["", "/pause", "/resume", "/run-now"])
async def test_nobody_reaches_the_schedule_of_another_tenant(
    http: httpx.AsyncClient, part: str
) -> None:
    made = await make(http)
    method = "POST" if part else "GET"

    answer = await http.request(method, f"/schedules/{made['id']}{part}", headers=BLUE)

    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:headrace:problem:no-such-schedule"
