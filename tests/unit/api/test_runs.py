"""`/runs`: begun, shown, cancelled, retried, added to and watched, by their owner alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.unit.api.conftest import MakeKey

from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.api.deps import ApiDeps
from headrace.contracts.messages import JobError
from headrace.core.ports.store import Store
from headrace.testkit.apps import create_app
from headrace.testkit.registering import SERVES, TRAINS
from headrace.testkit.runs_at_the_door import (
    BLUE,
    NOBODYS,
    PIPELINES,
    RED,
    Crew,
    begin,
    job_of,
    shown,
)


@pytest.fixture
def app(deps: ApiDeps) -> FastAPI:
    return create_app(replace(deps, pipelines=PIPELINES))


@pytest.fixture
def crew(store: Store, streams: InProcessStreams) -> Crew:
    return Crew(store, streams)


async def test_a_run_is_begun_and_shown(http: httpx.AsyncClient) -> None:
    run = await begin(http, labels={"who": "me"}, priority=2)

    assert (run["state"], run["progress"], run["pipeline"]) == ("running", 0.0, "chain")
    assert [(it["name"], it["state"], it["after"]) for it in run["stages"]] == [
        ("first", "running", []),
        ("next", "waiting", ["first"]),
    ]
    assert await shown(http, run) == run
    job = (await http.get(f"/jobs/{job_of(run, 'first')}", headers=RED)).json()
    assert job["labels"] == {
        "who": "me",
        "headrace/run": run["id"],
        "headrace/stage": "first",
    }
    assert (job["model"], job["priority"]) == ("echo-1", 2)
    assert job["trace_id"] == run["trace_id"] is not None


async def test_a_run_goes_from_stage_to_stage_to_its_end(
    http: httpx.AsyncClient, crew: Crew
) -> None:
    run = await begin(http)

    await crew.do(job_of(run, "first"), output={"text": "echoed"})
    half = await shown(http, run)
    await crew.do(job_of(half, "next"))
    whole = await shown(http, run)

    assert half["progress"] == 0.5
    assert half["stages"][0]["pieces"][0]["output"] == {"text": "echoed"}
    assert (whole["state"], whole["progress"]) == ("succeeded", 1.0)
    assert whole["finished_at"] is not None


async def test_the_same_key_begins_one_run(http: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "k", **RED}
    asked = {"pipeline": "chain", "input": {"text": "hello"}}

    one = await http.post("/runs", json=asked, headers=key)
    again = await http.post("/runs", json=asked, headers=key)
    other = await http.post("/runs", json={**asked, "priority": 1}, headers=key)

    assert one.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.status_code == 422
    assert len((await http.get("/runs", headers=RED)).json()["runs"]) == 1


async def test_runs_are_listed_page_by_page(http: httpx.AsyncClient) -> None:
    made = [(await begin(http))["id"] for _ in range(3)]

    first = (await http.get("/runs", params={"limit": 2}, headers=RED)).json()
    rest = (await http.get("/runs", params={"cursor": first["next"]}, headers=RED)).json()

    assert sorted(it["id"] for it in first["runs"] + rest["runs"]) == sorted(made)
    assert rest["next"] is None
    assert (await http.get("/runs", headers=BLUE)).json()["runs"] == []


async def test_pipelines_are_listed_with_what_they_take_and_why_one_cannot_run(
    http: httpx.AsyncClient,
) -> None:
    listed = {it["name"]: it for it in (await http.get("/pipelines", headers=RED)).json()}

    assert listed["fan"]["takes"] == [
        {"name": "texts", "shape": "a list of text", "optional": False}
    ]
    assert listed["chain"]["problem"] is None
    assert "no engine runs kind 'video'" in listed["no-engine"]["problem"]


async def test_a_run_says_until_when_it_should_be_over_and_that_it_was_not(
    http: httpx.AsyncClient, crew: Crew
) -> None:
    run = await begin(http, deadline_s=1e-6)
    free = await begin(http)

    await crew.stop()
    after = await shown(http, run)

    assert (run["deadline_s"], free["deadline_s"], free["deadline_at"]) == (1e-6, None, None)
    assert run["deadline_at"] is not None
    assert after["state"] == "failed"
    assert (after["error"]["kind"], after["error"]["stage"]) == ("deadline", None)
    assert (await shown(http, free))["state"] == "running"
    listed = (await http.get("/pipelines", headers=RED)).json()
    assert {it["name"]: it["deadline_s"] for it in listed}["hurried"] == 60.0


@pytest.mark.parametrize("within", [0, -1, "60", True, 2_592_001, []])
async def test_a_deadline_that_is_none_is_refused(http: httpx.AsyncClient, within: Any) -> None:
    asked = {"pipeline": "chain", "input": {"text": "x"}, "deadline_s": within}

    answer = await http.post("/runs", json=asked, headers=RED)

    assert answer.status_code == 422
    assert answer.json()["pointer"] == "/deadline_s"
    assert (await http.get("/runs", headers=RED)).json()["runs"] == []


@pytest.mark.parametrize(
    ("asked", "slug", "fields"),
    [
        ({"pipeline": "gone", "input": {}}, "unknown-pipeline", {"pointer": "/pipeline"}),
        ({"pipeline": "chain", "input": {}}, "invalid-input", {"pointer": "/input/text"}),
        ({"pipeline": "chain", "input": {"text": 7}}, "invalid-input", {"pointer": "/input/text"}),
        (
            {"pipeline": "fan", "input": {"texts": ["a"] * 65}},
            "invalid-input",
            {"pointer": "/input"},
        ),
        ({"pipeline": "no-engine", "input": {"text": ""}}, "bad-pipeline", {"stage": "first"}),
    ],
    ids=["unknown", "missing", "number", "too-many", "no-engine"],
)
async def test_what_cannot_run_is_refused_with_the_place(
    http: httpx.AsyncClient, asked: Any, slug: str, fields: dict[str, Any]
) -> None:
    answer = await http.post("/runs", json=asked, headers=RED)

    assert answer.status_code == 422
    assert answer.json()["type"].endswith(slug)
    assert answer.json().items() >= fields.items()
    assert (await http.get("/runs", headers=RED)).json()["runs"] == []


async def test_a_pipeline_that_changes_models_is_run_by_who_may_change_them(
    http: httpx.AsyncClient, store: Store, keyed: MakeKey
) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([SERVES, TRAINS])
    asked = {"pipeline": "learn", "input": {"text": "hello"}}
    submits, may = await keyed("submit"), await keyed("submit", "models")

    refused = await http.post("/runs", json=asked, headers=submits)
    planned = {"cron": "0 6 * * *", "run": asked}
    not_planned = await http.post("/schedules", json=planned, headers=submits)
    begun = await http.post("/runs", json=asked, headers=may)

    assert (refused.status_code, refused.json()["scope"]) == (403, "models")
    assert (not_planned.status_code, not_planned.json()["scope"]) == (403, "models")
    assert begun.status_code == 202
    assert (await http.post("/schedules", json=planned, headers=may)).status_code == 201
    train, serve = begun.json()["stages"]
    assert (train["register_as"], train["made_by"]) == ("digits", None)
    assert (serve["model"], serve["made_by"], serve["after"]) == (None, "train", ["train"])


async def test_a_registered_model_that_is_not_there_is_told_with_its_stage(
    http: httpx.AsyncClient, store: Store
) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([SERVES])

    asked = {"pipeline": "serve", "input": {"text": "hello"}}
    refused = await http.post("/runs", json=asked, headers=RED)
    listed = (await http.get("/pipelines", headers=RED)).json()

    problem = next(each["problem"] for each in listed if each["name"] == "serve")
    assert (refused.status_code, refused.json()["stage"]) == (422, "serve")
    assert refused.json()["detail"] == problem
    assert "no engine runs model 'digits' of kind 'inference'" in problem


async def test_a_run_is_cancelled_as_a_whole(http: httpx.AsyncClient, crew: Crew) -> None:
    run = await begin(http, "fan")

    asked = await http.post(f"/runs/{run['id']}/cancel", headers=RED)
    await crew.stop()
    again = await http.post(f"/runs/{run['id']}/cancel", headers=RED)

    assert (asked.status_code, asked.json()["state"]) == (202, "cancelling")
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")
    jobs = (await http.get("/jobs", headers=RED)).json()["jobs"]
    assert [job["state"] for job in jobs] == ["cancelled", "cancelled"]


async def test_a_failed_stage_is_retried_alone(http: httpx.AsyncClient, crew: Crew) -> None:
    run = await begin(http)
    await crew.do(job_of(run, "first"))
    wrong = job_of(await shown(http, run), "next")
    await crew.do(wrong, outcome="failed", output=None, error=JobError(kind="input", message="no"))
    failed = await shown(http, run)

    again = await http.post(f"/runs/{run['id']}/stages/next/retry", headers=RED)
    fine = await http.post(f"/runs/{run['id']}/stages/first/retry", headers=RED)
    nowhere = await http.post(f"/runs/{run['id']}/stages/gone/retry", headers=RED)

    assert failed["state"] == "failed"
    assert (failed["error"]["stage"], failed["error"]["message"]) == ("next", "no")
    assert (again.status_code, again.json()["state"]) == (202, "running")
    assert job_of(again.json(), "next") != wrong
    assert job_of(again.json(), "first") == job_of(run, "first")
    assert (fine.status_code, nowhere.status_code) == (409, 404)


async def test_work_is_added_to_a_run_that_succeeded_and_to_no_other(
    http: httpx.AsyncClient, store: Store, crew: Crew
) -> None:
    run = await begin(http, "picture")
    at = f"/runs/{run['id']}"
    early = await http.post(f"{at}/captions", json={}, headers=RED)
    await crew.do(job_of(run, "first"), output={"image": {"blob": "b"}})
    nobody = await http.post(f"{at}/refinements", json={}, headers=RED)
    async with store.begin() as tx:
        (echo,) = await tx.catalog()
        schema = {"properties": {"image": {"type": "object"}}, "additionalProperties": False}
        await tx.announce_engines([type(echo)("c", "caption", ["m"], schema)])  # type: ignore[arg-type]

    added = await http.post(f"{at}/captions", json={}, headers=RED)
    bad = await http.post(f"{at}/captions", json={"nonsense": 1}, headers=RED)

    assert early.status_code == 409
    assert (nobody.status_code, nobody.json()["stage"]) == (422, "refine")
    assert (added.status_code, added.json()["state"]) == (202, "running")
    assert [it["name"] for it in added.json()["stages"]] == ["first", "caption"]
    assert bad.status_code == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("POST", "/cancel"),
        ("POST", "/stages/first/retry"),
        ("POST", "/captions"),
        ("GET", "/events"),
    ],
)
async def test_another_tenants_run_is_not_found(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    run = await begin(http)

    theirs = await http.request(method, f"/runs/{run['id']}{path}", json={}, headers=BLUE)
    nobodys = await http.request(method, f"/runs/{NOBODYS}{path}", json={}, headers=RED)
    nonsense = await http.request(method, f"/runs/nonsense{path}", json={}, headers=RED)

    assert [theirs.status_code, nobodys.status_code, nonsense.status_code] == [404] * 3
    assert theirs.json()["type"].endswith("no-such-run")
