"""`/admin/schedules`: everybody's, made, paused, run and deleted by an operator, each in the audit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from headrace.api.deps import ApiDeps
from headrace.testkit.apps import create_app
from headrace.testkit.runs_at_the_door import PIPELINES

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
ADMIN = {"apikey": "key-of-the-admin", "X-Operator": "olga"}
LIST = "/admin/schedules"
JOBS = {"cron": "0 6 * * *", "job": {"kind": "echo", "input": {"text": "morning"}}}
RUNS = {"cron": "0 7 * * *", "run": {"pipeline": "chain", "input": {"text": "morning"}}}


@pytest.fixture
def app(deps: ApiDeps) -> FastAPI:
    return create_app(replace(deps, pipelines=PIPELINES, admin_key=ADMIN["apikey"]))


async def made(http: httpx.AsyncClient, tenant: str, asked: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post(LIST, json={"tenant": tenant, **asked}, headers=ADMIN)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def audited(http: httpx.AsyncClient) -> list[tuple[str, str, str]]:
    """Oldest first."""
    deeds = (await http.get("/admin/audit", headers=ADMIN)).json()["audit"]
    return [(each["who"], each["action"], each["subject"]) for each in reversed(deeds)]


async def test_an_operator_sees_the_schedules_of_all_tenants_or_one(
    http: httpx.AsyncClient,
) -> None:
    red, blue = await made(http, "red", JOBS), await made(http, "blue", RUNS)

    first = (await http.get(LIST, params={"limit": 1}, headers=ADMIN)).json()
    rest = (await http.get(LIST, params={"cursor": first["next"]}, headers=ADMIN)).json()
    of_red = (await http.get(LIST, params={"tenant": "red"}, headers=ADMIN)).json()

    assert first["schedules"] + rest["schedules"] == [blue, red]
    assert (rest["next"], of_red["schedules"]) == (None, [red])
    assert (red["tenant"], blue["tenant"]) == ("red", "blue")


async def test_what_an_operator_makes_is_the_tenants_own(http: httpx.AsyncClient) -> None:
    schedule = (await made(http, "red", RUNS))["id"]

    seen = await http.get(f"/schedules/{schedule}", headers=RED)
    by_another = await http.get(f"/schedules/{schedule}", headers=BLUE)

    assert (seen.status_code, by_another.status_code) == (200, 404)


async def test_an_operator_pauses_resumes_runs_and_deletes_it_and_each_is_audited(
    http: httpx.AsyncClient,
) -> None:
    schedule = await made(http, "red", RUNS)
    at = f"{LIST}/{schedule['id']}"

    paused = (await http.post(f"{at}/pause", headers=ADMIN)).json()
    resumed = (await http.post(f"{at}/resume", headers=ADMIN)).json()
    run = await http.post(f"{at}/run-now", headers=ADMIN)
    shown = (await http.get(at, headers=ADMIN)).json()
    gone = await http.delete(at, headers=ADMIN)

    assert (paused["paused_at"] is None, resumed) == (False, schedule)
    assert run.status_code == 202
    assert [fire["run"] for fire in shown["fires"]] == [run.json()["id"]]
    assert [each["id"] for each in (await http.get("/runs", headers=RED)).json()["runs"]] == [
        run.json()["id"]
    ]
    assert gone.status_code == 204
    assert (await http.get(at, headers=ADMIN)).status_code == 404
    assert await audited(http) == [
        ("olga", f"schedule.{verb}", schedule["id"])
        for verb in ("create", "pause", "resume", "run-now", "delete")
    ]


async def test_what_could_not_run_is_refused_with_the_place_and_not_audited(
    http: httpx.AsyncClient,
) -> None:
    asked = {"tenant": "red", **RUNS, "run": {"pipeline": "chain", "input": {}}}

    answer = await http.post(LIST, json=asked, headers=ADMIN)

    assert (answer.status_code, answer.json()["pointer"]) == (422, "/run/input/text")
    assert await audited(http) == []


@pytest.mark.parametrize(
    ("method", "at"),
    [
        ("GET", ""),
        ("POST", ""),
        ("GET", "/{id}"),
        ("POST", "/{id}/pause"),
        ("POST", "/{id}/resume"),
        ("POST", "/{id}/run-now"),
        ("DELETE", "/{id}"),
    ],
)
async def test_nobody_else_gets_there(http: httpx.AsyncClient, method: str, at: str) -> None:
    schedule = await made(http, "red", JOBS)

    answer = await http.request(method, LIST + at.format(**schedule), headers=RED)

    assert answer.status_code == 403
    assert (await http.get("/jobs", headers=RED)).json()["jobs"] == []
