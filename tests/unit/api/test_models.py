"""`/models`, `/admin/models` and feedback: registered, routed, asked for, judged; and by whom."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.unit.api.conftest import BLUE, ECHO, RED, Backstage, MakeKey

from headrace.api.deps import ApiDeps
from headrace.contracts.ids import JobId, Lane, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.ports.store import Store

ADMIN = {"apikey": "key-of-the-admin"}
WEIGHTS = b"weights of digits"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
SCHEMA = {"type": "object", "properties": {"pixels": {"type": "array"}}, "required": ["pixels"]}
SERVES = EngineCard(Lane("serve"), "inference", [], SCHEMA, "Serves", ["test-weights"])
WRITES = EngineCard(Lane("write"), "text", [], {}, "Writes", ["test-words"])
TRAINS = EngineCard(Lane("train"), "training", ["digits-mlp"], {})


@pytest.fixture
def deps(deps: ApiDeps) -> ApiDeps:
    return replace(deps, admin_key=ADMIN["apikey"])


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([SERVES, WRITES, TRAINS])


async def uploaded(http: httpx.AsyncClient, data: bytes = WEIGHTS) -> str:
    headers = {**RED, "Content-Type": "application/octet-stream"}
    return str((await http.post("/blobs", content=data, headers=headers)).json()["blob"])


async def register(
    http: httpx.AsyncClient, name: str = "digits", headers: dict[str, str] = RED, **fields: Any
) -> httpx.Response:
    usual = {"artefact": {"blob": await uploaded(http)}, "format": "test-weights"}
    url = f"/models/{name}/versions"
    return await http.post(url, json={**usual, **fields}, headers=headers)


async def post(http: httpx.AsyncClient, path: str, **body: Any) -> httpx.Response:
    return await http.post(f"/models/digits/{path}", json=body, headers=RED)


async def ask(http: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    body = {"kind": "inference", "model": "digits", "input": {"pixels": []}, **fields}
    return await http.post("/jobs", json=body, headers=RED)


async def get(http: httpx.AsyncClient, path: str, headers: dict[str, str] = RED) -> Any:
    answer = await http.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_upload_is_registered_with_what_its_bytes_are(http: httpx.AsyncClient) -> None:
    answer = await register(
        http,
        sha256=SHA256,
        metrics={"accuracy": 0.97},
        parameters={"layers": [32]},
        data="digits",
        note="first",
    )

    made = answer.json()
    assert answer.status_code == 201
    assert (made["version"], made["asked_as"], made["share"]) == (1, "digits@1", 100.0)
    assert (made["sha256"], made["bytes"]) == (SHA256, len(WEIGHTS))
    assert made["metrics"] == {"accuracy": 0.97}
    assert (made["made_by"], made["data"], made["note"]) == ("red", "digits", "first")
    assert await get(http, "/models/digits/versions/1") == made
    assert (await get(http, "/models/digits/versions"))["versions"] == [made]


async def test_the_same_key_registers_once(http: httpx.AsyncClient) -> None:
    body = {"artefact": {"blob": await uploaded(http)}, "format": "test-weights"}
    headers = {**RED, "Idempotency-Key": "once"}

    first, again = [
        await http.post("/models/digits/versions", json=body, headers=headers) for _ in range(2)
    ]

    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (await get(http, "/models/digits"))["latest"] == 1


@pytest.mark.parametrize(
    ("name", "fields", "pointer"),
    [
        ("digits", {"sha256": "ab" * 32}, "/sha256"),
        ("digits", {"artefact": {"blob": "nobody-has-it"}}, "/artefact/blob"),
        ("digits", {"format": "Not A Format"}, "/format"),
        ("digits", {"metrics": {"accuracy": "high"}}, "/metrics/accuracy"),
        ("registered", {}, "/name"),
    ],
)
async def test_what_cannot_be_a_version_is_refused_where_it_is_wrong(
    http: httpx.AsyncClient, name: str, fields: dict[str, Any], pointer: str
) -> None:
    answer = await register(http, name, **fields)

    problem = answer.json()
    where = problem.get("pointer") or problem["errors"][0]["pointer"]
    assert (answer.status_code, where) == (422, pointer)


async def test_a_job_of_another_tenants_made_nothing_here(
    http: httpx.AsyncClient, submitted: str
) -> None:
    assert (await register(http, job=submitted)).json()["job"] == submitted
    theirs = await http.post("/jobs", json={"kind": "echo", "input": {"text": "a"}}, headers=BLUE)

    assert (await register(http, job=theirs.json()["id"])).status_code == 404


async def test_a_route_is_changed_promoted_rolled_back_and_remembered(
    http: httpx.AsyncClient,
) -> None:
    for _ in range(2):
        await register(http)

    routed = (await post(http, "route", weights={"1": 90, "2": 10}, expect=1)).json()
    late = await post(http, "route", weights={"2": 1}, expect=1)
    promoted = (await post(http, "promote", version=2)).json()
    back = (await post(http, "rollback")).json()

    assert routed["route"]["shares"] == {"1": 90.0, "2": 10.0}
    assert (late.status_code, late.json()["type"].rpartition(":")[2]) == (409, "model-not-ready")
    assert promoted["route"]["shares"] == {"2": 100.0}
    assert back["route"]["shares"] == routed["route"]["shares"]
    history = (await get(http, "/models/digits/routes?limit=3"))["routes"]
    assert [(each["number"], each["how"], each["changed_by"]) for each in history] == [
        (4, "rolled_back", "red"),
        (3, "promoted", "red"),
        (2, "routed", "red"),
    ]
    assert history[0]["restores"] == 2


async def test_a_version_is_retired_once_nothing_goes_there(http: httpx.AsyncClient) -> None:
    for _ in range(3):
        await register(http)

    routed = await http.delete("/models/digits/versions/1", headers=RED)
    gone = await http.delete("/models/digits/versions/2", headers=RED)
    asked = await ask(http, model="digits@2")

    assert (routed.status_code, gone.status_code) == (409, 204)
    assert (await get(http, "/models/digits/versions/2"))["retired_by"] == "red"
    assert (asked.status_code, asked.json()["known"]) == (422, ["digits@3", "digits@1"])
    assert (await register(http)).json()["version"] == 4


async def test_jobs_of_any_route_say_which_version_they_were_given(
    http: httpx.AsyncClient,
) -> None:
    for _ in range(2):
        await register(http)
    await post(http, "route", weights={"1": 1, "2": 1})

    split = {(await ask(http, sticky=f"user-{n}")).json()["model"] for n in range(20)}
    named = await http.post(
        "/jobs/inference",
        json={"kind": "inference", "model": "digits@2", "input": {"pixels": []}},
        headers=RED,
    )

    assert split == {"digits@1", "digits@2"}
    assert named.json()["model"] == "digits@2"
    assert (await ask(http, input={})).json()["pointer"] == "/input"


async def test_models_that_an_engine_can_serve_are_among_what_can_be_run(
    http: httpx.AsyncClient,
) -> None:
    await register(http)
    await register(http, "odd", format="odd-weights")

    mine = {each["model"]: each for each in await get(http, "/models")}
    theirs = {each["model"] for each in await get(http, "/models", BLUE)}

    assert mine["digits"]["registered"] is True
    assert (mine["digits"]["kind"], mine["digits"]["input_schema"]) == ("inference", SCHEMA)
    assert mine[ECHO.models[0]]["registered"] is False
    assert "odd" not in mine
    assert "digits" not in theirs


async def test_a_registered_model_of_texts_is_shown_and_asked_for_at_openais_door(
    http: httpx.AsyncClient, store: Store
) -> None:
    await register(http, "poet", format="test-words")
    await register(http)

    listed = {each["id"] for each in (await get(http, "/v1/models"))["data"]}
    unknown = await http.post(
        "/v1/completions", json={"model": "prose", "prompt": "a"}, headers=RED
    )

    assert "poet" in listed
    assert "digits" not in listed
    assert unknown.status_code == 404
    assert "poet" in unknown.json()["error"]["message"]


async def test_openais_user_is_who_shares_a_version(
    http: httpx.AsyncClient, deps: ApiDeps, app: FastAPI
) -> None:
    for _ in range(2):
        await register(http, "poet", format="test-words")
    weights = {"weights": {"1": 1, "2": 1}}
    await http.post("/models/poet/route", json=weights, headers=RED)
    app.state.deps = replace(deps, limits=replace(deps.limits, answer_s=0.01))

    for nth in range(12):  # nobody answers, and the job goes on
        body = {"model": "poet", "prompt": "a", "user": f"u-{nth}", "on_disconnect": "continue"}
        assert (await http.post("/v1/completions", json=body, headers=RED)).status_code == 504

    jobs = (await get(http, "/jobs"))["jobs"]
    assert {each["model"] for each in jobs} == {"poet@1", "poet@2"}


async def test_a_training_registers_by_who_may_change_models(
    http: httpx.AsyncClient, keyed: MakeKey, backstage: Backstage
) -> None:
    body = {"kind": "training", "model": "digits-mlp", "input": {}, "register_as": "digits"}
    submits = await keyed("submit")
    may = await keyed("submit", "models")

    refused = await http.post("/jobs", json=body, headers=submits)
    taken = await http.post("/jobs", json=body, headers=may)
    wrong_kind = await ask(http, kind="echo", register_as="digits")
    bad_name = await http.post("/jobs", json={**body, "register_as": "a b"}, headers=RED)

    assert (refused.status_code, refused.json()["scope"]) == (403, "models")
    assert (taken.status_code, taken.json()["register_as"]) == (202, "digits")
    assert wrong_kind.json()["pointer"] == "/register_as"
    assert bad_name.json()["pointer"] == "/register_as"


async def test_how_versions_do_is_told_side_by_side(
    http: httpx.AsyncClient, backstage: Backstage
) -> None:
    for _ in range(2):
        await register(http)
    for version, bad in ((1, 0), (2, 1)):
        for nth in range(2):
            job = (await ask(http, model=f"digits@{version}")).json()["id"]
            await backstage.start(job)
            if nth < bad:
                await backstage.fail(job, {"kind": "internal", "message": "no"})
            else:
                await backstage.finish(job, {"confidence": version / 4})

    found = await get(http, "/models/digits/performance?metric=output.confidence")

    one, two = found["versions"]
    assert (one["version"], one["share"], one["succeeded"], one["failed"]) == (1, 100.0, 2, 0)
    assert (two["succeeded"], two["failed"], two["failure_rate"]) == (1, 1, 0.5)
    assert (one["metric_mean"], one["metric_count"]) == (0.25, 2)
    assert one["run"]["p50_s"] >= 0
    (compared,) = found["comparisons"]
    assert (compared["base"], compared["version"]) == (1, 2)
    assert [each["of"] for each in compared["verdicts"]] == ["failure_rate", "output.confidence"]
    assert all("too few" in v["said"] or "fewer" in v["said"] for v in compared["verdicts"])


async def test_feedback_is_given_on_ones_own_jobs(
    http: httpx.AsyncClient, backstage: Backstage
) -> None:
    await register(http)
    job = (await ask(http)).json()["id"]
    await backstage.start(job)
    await backstage.finish(job, {})
    said = {"name": "rating", "value": 4.5}

    mine = await http.post(f"/jobs/{job}/feedback", json=said, headers=RED)
    theirs = await http.post(f"/jobs/{job}/feedback", json=said, headers=BLUE)
    odd = await http.post(f"/jobs/{job}/feedback", json={**said, "name": "a.b"}, headers=RED)

    assert (mine.status_code, theirs.status_code, odd.status_code) == (204, 404, 422)
    found = await get(http, "/models/digits/performance?metric=rating&version=1")
    assert (found["versions"][0]["metric_mean"], found["versions"][0]["metric_count"]) == (4.5, 1)


@pytest.mark.parametrize(
    "path", ["", "/versions", "/versions/1", "/routes", "/performance", "/versions/1/x"]
)
async def test_another_tenants_model_is_as_one_that_is_not_there(
    http: httpx.AsyncClient, path: str
) -> None:
    await register(http)

    assert (await http.get(f"/models/digits{path}", headers=BLUE)).status_code == 404


async def test_an_operator_shares_a_model_and_its_owner_alone_changes_it(
    http: httpx.AsyncClient, store: Store
) -> None:
    await register(http)
    share = {"shared": True}

    shared = await http.put("/admin/models/red/digits", json=share, headers=ADMIN)
    asked = await http.post(
        "/jobs",
        json={"kind": "inference", "model": "digits", "input": {"pixels": []}},
        headers=BLUE,
    )
    changed = await http.post("/models/digits/promote", json={"version": 1}, headers=BLUE)
    judged = await http.get("/models/digits/performance", headers=BLUE)
    unknown = await http.put("/admin/models/blue/digits", json=share, headers=ADMIN)

    assert shared.json()["shared"] is True
    assert (await get(http, "/models/digits", BLUE))["own"] is False
    assert [each["name"] for each in (await get(http, "/models/registered", BLUE))["models"]] == [
        "digits"
    ]
    assert asked.json()["model"] == "digits@1"
    async with store.begin() as tx:
        job = await tx.find(TenantId("blue"), JobId(asked.json()["id"]))
    assert job is not None
    assert job.artefact is not None
    assert job.artefact.tenant == "red"
    assert (changed.status_code, judged.status_code, unknown.status_code) == (404, 404, 404)
    everybodys = (await get(http, "/admin/models", ADMIN))["models"]
    assert [(each["tenant"], each["name"]) for each in everybodys] == [("red", "digits")]
    figures = await get(http, "/admin/models/red/digits/performance", ADMIN)
    assert [each["version"] for each in figures["versions"]] == [1]


async def test_an_operator_sees_a_model_and_its_versions_where_they_are(
    http: httpx.AsyncClient,
) -> None:
    for nth in range(3):
        await register(http, metrics={"accuracy": nth / 10})
    await http.put("/admin/models/red/digits", json={"shared": True}, headers=ADMIN)

    model = await get(http, "/admin/models/red/digits", ADMIN)
    first = await get(http, "/admin/models/red/digits/versions?limit=2", ADMIN)
    rest = await get(http, f"/admin/models/red/digits/versions?below={first['next']}", ADMIN)
    elsewhere = [
        (await http.get(f"/admin/models/blue/digits{path}", headers=ADMIN)).status_code
        for path in ("", "/versions")
    ]
    stranger = await http.get("/admin/models/red/digits/versions", headers=RED)

    assert (model["tenant"], model["own"], model["latest"]) == ("red", False, 3)
    told = [(each["version"], each["share"]) for each in first["versions"] + rest["versions"]]
    assert told == [(3, 0.0), (2, 0.0), (1, 100.0)]
    assert rest["next"] is None
    assert elsewhere == [404, 404], "a model that red shares is none of blue's"
    assert stranger.status_code == 403
