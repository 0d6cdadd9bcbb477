"""`/schedules`: made, shown, paused, run and deleted, by their owner alone."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
ASKED = {
    "cron": "0 6 * * MON-FRI",
    "timezone": "Europe/Berlin",
    "job": {"kind": "echo", "input": {"text": "morning"}, "labels": {"team": "red"}},
}
NOBODYS = "0b6c1f0e-6b1d-4a57-9c2f-0d9a4c1b7a11"


async def make(http: httpx.AsyncClient, **headers: str) -> Any:
    answer = await http.post("/schedules", json=ASKED, headers={**RED, **headers})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_schedule_is_made_and_shown(http: httpx.AsyncClient) -> None:
    made = await make(http)

    shown = (await http.get(f"/schedules/{made['id']}", headers=RED)).json()

    assert shown == {**made, "fires": []}
    assert (made["cron"], made["timezone"]) == ("0 6 * * MON-FRI", "Europe/Berlin")
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
