"""The admin key: who has it, what it changes, and what a caller sees of that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from headrace.api.deps import ApiDeps
from headrace.contracts.ids import Lane, TenantId, WorkerId
from headrace.core.ports.store import Store, Terms
from headrace.core.usecases.admit import Admission, Caps
from headrace.testkit.apps import create_app

ADMIN = {"apikey": "key-of-admin"}
RED = {"apikey": "key-of-red"}
JOB = {"kind": "echo", "input": {"text": "a"}}


@pytest.fixture
def app(deps: ApiDeps) -> FastAPI:
    small = Admission(Caps(per_tenant=2, in_all=3))
    return create_app(replace(deps, admin_key=ADMIN["apikey"], admission=small))


async def test_without_an_admin_key_there_is_nothing(deps: ApiDeps) -> None:
    transport = httpx.ASGITransport(create_app(deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as http:
        answer = await http.post("/admin/lanes/echo/pause", headers=ADMIN)

    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:headrace:problem:no-admin"


@pytest.mark.parametrize("headers", [{}, RED, {"apikey": "kéy"}])
async def test_only_the_admin_key_opens(
    http: httpx.AsyncClient, headers: dict[str, str], store: Store
) -> None:
    encoded = httpx.Headers(headers, encoding="utf-8")
    answer = await http.post("/admin/lanes/echo/pause", headers=encoded)

    assert answer.status_code == 403
    async with store.begin() as tx:
        assert await tx.paused() == {}


async def test_a_paused_lane_is_explained_until_it_goes_on(
    http: httpx.AsyncClient, submitted: str
) -> None:
    paused = (await http.post("/admin/lanes/echo/pause", headers=ADMIN)).json()
    while_paused = (await http.get(f"/jobs/{submitted}/explain", headers=RED)).json()
    resumed = (await http.post("/admin/lanes/echo/resume", headers=ADMIN)).json()
    afterwards = (await http.get(f"/jobs/{submitted}/explain", headers=RED)).json()

    assert (while_paused["rule"], while_paused["relax"]) == ("lane_paused", ["resume lane echo"])
    assert while_paused["paused_since"] == paused["paused_since"]
    assert resumed == {"lane": "echo", "paused_since": None}
    assert afterwards["rule"] == "no_worker"


async def test_lanes_are_listed_with_who_serves_them_and_what_is_paused(
    http: httpx.AsyncClient, store: Store
) -> None:
    async with store.begin() as tx:
        for name in ("w1", "w2"):
            await tx.see_worker(WorkerId(name), {Lane("echo"): 2}, path="local")
    paused = (await http.post("/admin/lanes/other/pause", headers=ADMIN)).json()

    found = (await http.get("/admin/lanes", headers=ADMIN)).json()["lanes"]

    nothing = {"waiting": 0, "offered": 0, "running": 0, "oldest_age_s": None, "trouble": None}
    assert found == [
        {"lane": "echo", "paused_since": None, "workers": 2, "slots": 4, **nothing},
        {**paused, "workers": 0, "slots": 0, **nothing},
    ]


async def test_a_lane_tells_what_waits_in_it_and_for_how_long(
    http: httpx.AsyncClient, submitted: str
) -> None:
    (echo,) = (await http.get("/admin/lanes", headers=ADMIN)).json()["lanes"]

    assert (echo["waiting"], echo["offered"], echo["running"]) == (1, 0, 0)
    assert 0 <= echo["oldest_age_s"] < 60


async def test_what_a_tenant_gets_can_be_asked_for(http: httpx.AsyncClient) -> None:
    usual = (await http.get("/admin/tenants/red", headers=ADMIN)).json()
    told = (await http.put("/admin/tenants/red", json={"weight": 3}, headers=ADMIN)).json()
    asked = (await http.get("/admin/tenants/red", headers=ADMIN)).json()

    assert (usual["weight"], usual["max_running"]) == (1, None)
    assert asked == told


@pytest.mark.parametrize(
    "path",
    ["/admin/lanes", "/admin/tenants/red", "/admin/overview", "/admin/workers", "/admin/jobs"],
)
async def test_only_the_admin_key_reads_what_it_may_change(
    http: httpx.AsyncClient, path: str
) -> None:
    assert (await http.get(path, headers=RED)).status_code == 403


async def test_what_a_tenant_gets_is_set_as_a_whole(http: httpx.AsyncClient, store: Store) -> None:
    answer = await http.put(
        "/admin/tenants/red", json={"weight": 3, "max_running": 4}, headers=ADMIN
    )

    assert answer.status_code == 200
    assert answer.json() == {
        "tenant": "red",
        "weight": 3,
        "max_running": 4,
        "max_running_per_lane": None,
        "max_queued": None,
        "retain_days": None,
    }
    async with store.begin() as tx:
        assert await tx.terms(TenantId("red")) == Terms(weight=3, max_running=4)


async def test_terms_that_make_no_sense_are_refused_with_the_place(http: httpx.AsyncClient) -> None:
    answer = await http.put("/admin/tenants/red", json={"weight": 0}, headers=ADMIN)

    assert (answer.status_code, answer.json()["pointer"]) == (422, "/weight")
    brief = await http.put("/admin/tenants/red", json={"retain_days": 1}, headers=ADMIN)
    assert (brief.status_code, brief.json()["pointer"]) == (422, "/retain_days")


async def test_another_tenant_s_job_is_not_explained(
    http: httpx.AsyncClient, submitted: str
) -> None:
    answer = await http.get(f"/jobs/{submitted}/explain", headers={"apikey": "key-of-blue"})

    assert answer.status_code == 404


async def test_a_tenant_with_a_full_queue_is_told_when_to_come_back(
    http: httpx.AsyncClient,
) -> None:
    answers = [await http.post("/jobs", json=JOB, headers=RED) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[2].json()["type"] == "urn:headrace:problem:queue-full"
    assert answers[2].json()["limit"] == 2
    assert int(answers[2].headers["Retry-After"]) > 0


async def test_full_queues_are_no_fault_of_the_caller_s(http: httpx.AsyncClient) -> None:
    for key in ("red", "red", "blue"):
        await http.post("/jobs", json=JOB, headers={"apikey": f"key-of-{key}"})

    answer = await http.post("/jobs", json=JOB, headers={"apikey": "key-of-blue"})

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:headrace:problem:queues-full"
    assert int(answer.headers["Retry-After"]) > 0


async def test_a_retry_waits_its_turn_at_the_door_like_any_job(
    http: httpx.AsyncClient, submitted: str, backstage: Any
) -> None:
    await backstage.start(submitted)
    await backstage.fail(submitted, {"kind": "internal", "message": "it broke"})
    for _ in range(2):
        await http.post("/jobs", json=JOB, headers=RED)

    answer = await http.post(f"/jobs/{submitted}/retry", headers=RED)

    assert answer.status_code == 429


async def test_what_an_admin_does_is_in_the_audit(http: httpx.AsyncClient) -> None:
    ann = {**ADMIN, "X-Operator": "ann"}
    await http.post("/admin/lanes/echo/pause", headers=ann)
    await http.post("/admin/lanes/echo/resume", headers=ann)
    await http.put("/admin/tenants/red", json={"weight": 2}, headers=ann)

    audit = (await http.get("/admin/audit", headers=ADMIN)).json()["audit"]

    deeds = [(each["who"], each["action"], each["subject"]) for each in audit]
    assert deeds == [
        ("ann", "tenant.terms", "red"),
        ("ann", "lane.resume", "echo"),
        ("ann", "lane.pause", "echo"),
    ]
