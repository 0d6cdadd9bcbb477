"""`/admin/rollout`: what holds and how both paths do, one step on, and back in one go."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from headrace.api.deps import ApiDeps
from headrace.api.steering import Steering
from headrace.contracts.ids import JobId, Lane, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.ports.paths import DISTRIBUTED, LOCAL
from headrace.core.ports.rollouts import Comparison
from headrace.core.ports.store import Store
from headrace.core.rollout import Basis, Fixed
from headrace.testkit.apps import create_app
from headrace.testkit.builders import a_job_id

ADMIN = {"apikey": "key-of-admin", "X-Operator": "ann"}
RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
JOB = {"kind": "echo", "input": {"text": "a"}}


@pytest.fixture
def app(deps: ApiDeps) -> FastAPI:
    return create_app(replace(deps, admin_key=ADMIN["apikey"]))


@pytest.fixture
async def attended(store: Store) -> None:
    async with store.begin() as tx:
        await tx.attend(DISTRIBUTED, until=await tx.now() + timedelta(minutes=1))


async def put(http: httpx.AsyncClient, **asked: Any) -> httpx.Response:
    return await http.put("/admin/rollout", json=asked, headers=ADMIN)


async def show(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.get("/admin/rollout", headers=ADMIN)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def path_of(store: Store, answer: httpx.Response, name: str = "id") -> str:
    assert answer.status_code == 202, answer.text
    job = JobId(answer.json()[name])
    async with store.begin() as tx:
        return (await tx.load([job]))[job].path


async def test_until_somebody_says_otherwise_the_mode_does(http: httpx.AsyncClient) -> None:
    found = await show(http)

    assert (found["version"], found["source"], found["stage"]) == (0, "default", "off")
    assert (found["percent"], found["internal"], found["kinds"]) == (0, [], {})
    assert [each["path"] for each in found["paths"]] == [LOCAL, DISTRIBUTED]
    assert found["paths"][0]["error_rate"] is None
    assert found["tripped"] is None
    assert found["shadows"] == {"compared": 0, "same": 0, "different": 0, "latest": []}


@pytest.mark.usefixtures("attended")
async def test_a_change_holds_for_the_next_job_of_every_door(
    http: httpx.AsyncClient, store: Store
) -> None:
    async with store.begin() as tx:
        text = EngineCard(lane=Lane("text"), kind="text", models=["t"], input_schema={})
        await tx.announce_engines([text])
    said = {"content": "hi"}
    first = await http.post("/jobs", json=JOB, headers=RED)
    changed = await put(http, internal=["red"])

    native = await http.post("/jobs", json=JOB, headers=RED)
    message = await http.post("/conversations/talk/messages", json=said, headers=RED)
    other = await http.post("/jobs", json=JOB, headers=BLUE)

    assert changed.json()["stage"] == "internal"
    assert await path_of(store, first) == LOCAL, "what is accepted stays"
    assert await path_of(store, native) == DISTRIBUTED
    assert await path_of(store, message, "task_id") == DISTRIBUTED
    assert await path_of(store, other) == LOCAL


@pytest.mark.usefixtures("attended")
async def test_a_kind_is_pinned_for_everybody(http: httpx.AsyncClient, store: Store) -> None:
    await put(http, percent=100, kinds={"echo": "local"})

    assert await path_of(store, await http.post("/jobs", json=JOB, headers=RED)) == LOCAL


@pytest.mark.usefixtures("attended")
async def test_a_retry_and_a_schedule_go_where_new_jobs_go(
    http: httpx.AsyncClient, store: Store, backstage: Any, submitted: str
) -> None:
    await backstage.start(submitted)
    await backstage.finish(submitted, {"text": "a"})
    schedule = {"cron": "0 6 * * *", "job": JOB}
    made = (await http.post("/schedules", json=schedule, headers=RED)).json()
    await put(http, percent=100)

    again = await http.post(f"/jobs/{submitted}/retry", headers=RED)
    now = await http.post(f"/schedules/{made['id']}/run-now", headers=RED)

    assert await path_of(store, again) == DISTRIBUTED
    assert await path_of(store, now) == DISTRIBUTED


@pytest.mark.usefixtures("attended")
async def test_back_is_one_request(http: httpx.AsyncClient, store: Store) -> None:
    await put(http, percent=50, internal=["red"], kinds={"echo": "distributed"})

    answer = await http.post("/admin/rollout/rollback", headers=ADMIN)

    assert answer.status_code == 200
    assert (answer.json()["version"], answer.json()["stage"]) == (2, "off")
    assert answer.json()["changed_by"] == "ann"
    assert await path_of(store, await http.post("/jobs", json=JOB, headers=RED)) == LOCAL


@pytest.mark.usefixtures("attended")
async def test_a_change_of_what_has_moved_is_refused(http: httpx.AsyncClient) -> None:
    await put(http, percent=1)

    answer = await put(http, percent=10, expect_version=0)

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:headrace:problem:rollout-moved"
    assert answer.json()["version"] == 1


async def test_what_the_environment_fixes_is_named(deps: ApiDeps, store: Store) -> None:
    fixed = Steering(store, Basis(fixed=Fixed(percent=0.0)))
    app = create_app(replace(deps, admin_key=ADMIN["apikey"], steering=fixed))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://headrace"
    ) as http:
        answer = await put(http, percent=10)
        found = await show(http)

    assert answer.status_code == 409
    assert answer.json()["variables"] == ["ROLLOUT_PERCENT"]
    assert (found["source"], found["fixed_by"]) == ("environment", ["ROLLOUT_PERCENT"])


async def test_where_nobody_would_run_them_it_is_refused_in_words(
    http: httpx.AsyncClient,
) -> None:
    answer = await put(http, percent=1)

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:headrace:problem:path-missing"
    assert "no dispatcher attends to the distributed path" in answer.json()["detail"]


@pytest.mark.parametrize(
    "asked",
    [
        {"percent": 101},
        {"percent": "10"},
        {"internal": [""]},
        {"kinds": {"text": "both"}},
        {"guard": {"at_least": 0}},
        {"unknown": 1},
    ],
)
async def test_what_makes_no_sense_is_refused(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    answer = await put(http, **asked)

    assert answer.status_code == 422
    assert (await show(http))["version"] == 0


async def test_only_an_operator_may_look_or_change(http: httpx.AsyncClient) -> None:
    answers = [
        await http.get("/admin/rollout", headers=RED),
        await http.put("/admin/rollout", json={"percent": 0}, headers=RED),
        await http.post("/admin/rollout/rollback", headers=RED),
    ]

    assert {each.status_code for each in answers} == {403}


@pytest.mark.usefixtures("attended")
async def test_both_paths_are_told_side_by_side(
    http: httpx.AsyncClient, backstage: Any, submitted: str
) -> None:
    await backstage.start(submitted)
    await put(http, percent=100)
    new = (await http.post("/jobs", json=JOB, headers=RED)).json()["id"]
    await backstage.start(new)
    await backstage.fail(new, {"kind": "internal", "message": "it broke"})

    old_path, new_path = (await show(http))["paths"]

    assert (old_path["submitted"], old_path["running"], old_path["ended"]) == (1, 1, 0)
    assert (new_path["submitted"], new_path["running"], new_path["ended"]) == (1, 0, 1)
    assert (new_path["failed"], new_path["error_rate"]) == (1, 1.0)
    assert new_path["run_p50_s"] >= 0
    assert (old_path["attended"], new_path["attended"]) == (False, True)


async def test_comparisons_are_told(http: httpx.AsyncClient, store: Store, submitted: str) -> None:
    found = Comparison(
        job=JobId(submitted),
        shadow=a_job_id(),
        tenant=TenantId("red"),
        kind="echo",
        path=DISTRIBUTED,
        same=False,
        diff={"output": ["/text: 1, and 2"]},
    )
    async with store.begin() as tx:
        await tx.note_comparisons([found])

    shadows = (await show(http))["shadows"]

    assert (shadows["compared"], shadows["same"], shadows["different"]) == (1, 0, 1)
    (told,) = shadows["latest"]
    assert (told["job"], told["diff"]) == (submitted, {"output": ["/text: 1, and 2"]})


@pytest.mark.usefixtures("attended")
async def test_a_shadow_is_no_job_of_anybody_s(http: httpx.AsyncClient, store: Store) -> None:
    async with store.begin() as tx:
        await tx.attend(LOCAL, until=await tx.now() + timedelta(minutes=1))
    unsaid = await put(http, shadow_percent=100)
    await put(http, percent=0, shadow_percent=100)

    answer = await http.post("/jobs", json=JOB, headers=RED)
    listed = (await http.get("/jobs", headers=RED)).json()["jobs"]

    async with store.begin() as tx:
        both = await tx.path_standings(since=await tx.now() - timedelta(minutes=1))
        waiting = await tx.backlog(None, at_most=10)
    assert [each["id"] for each in listed] == [answer.json()["id"]]
    assert sum(each.submitted for each in both) == 1
    assert waiting == 2
    assert unsaid.json()["type"] == "urn:headrace:problem:percent-first"
