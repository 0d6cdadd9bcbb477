"""The overview, and the workers: what each does, whether it can receive, and how one is drained."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from headrace.api.deps import ApiDeps
from headrace.contracts.ids import Lane, WorkerId
from headrace.contracts.messages import Gpu, Hearing, Vitals, WarmModel
from headrace.core.ports.store import Store
from headrace.testkit.apps import create_app
from headrace.testkit.unruly import UnrulyStore

ADMIN = {"apikey": "key-of-admin", "X-Operator": "ann"}
RED = {"apikey": "key-of-red"}
WELL = Vitals(
    memory_bytes=1 << 30,
    gpus=[Gpu("H100", 0.5, 1 << 30, 80 << 30)],
    hears={"echo": Hearing(1, 0.5)},
    order_s=4.0,
    models=[WarmModel(Lane("echo"), "echo", 2, 1 << 20, 2.5)],
)


@pytest.fixture
def unruly(store: Store) -> UnrulyStore:
    return UnrulyStore(store)


@pytest.fixture
def app(deps: ApiDeps, unruly: UnrulyStore) -> FastAPI:
    return create_app(replace(deps, admin_key=ADMIN["apikey"], store=unruly))


async def seen(store: Store, vitals: Vitals | None = WELL, name: str = "w1") -> None:
    async with store.begin() as tx:
        await tx.see_worker(WorkerId(name), {Lane("echo"): 2}, path="local", vitals=vitals)


async def overview(http: httpx.AsyncClient, **asked: Any) -> dict[str, Any]:
    answer = await http.get("/admin/overview", params=asked, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def worker(http: httpx.AsyncClient) -> dict[str, Any]:
    (found,) = (await http.get("/admin/workers", headers=ADMIN)).json()["workers"]
    return dict(found)


async def test_an_overview_tells_what_waits_runs_and_ended(
    http: httpx.AsyncClient, store: Store, backstage: Any
) -> None:
    await seen(store)
    jobs = [
        (
            await http.post("/jobs", json={"kind": "echo", "input": {"text": "a"}}, headers=RED)
        ).json()
        for _ in range(4)
    ]
    for job in jobs[:3]:
        await backstage.start(job["id"])
    await backstage.finish(jobs[0]["id"], {})
    await backstage.fail(jobs[1]["id"], {"kind": "internal", "message": "it broke"})

    told = await overview(http)

    assert told["ended"] == {"succeeded": 1, "failed": 1, "cancelled": 0, "dead": 0}
    assert (told["failure_rate"], told["dead_letters_open"]) == (0.5, 0)
    assert told["per_s"] == pytest.approx(2 / told["covers_s"], abs=0.001)
    (echo,) = told["lanes"]
    assert (echo["waiting"], echo["running"], echo["slots"]) == (1, 1, 2)
    assert told["workers"] == {"alive": 1, "slots": 2, "busy": 1}
    (path,) = told["paths"]
    assert (path["path"], path["waiting"], path["ended"], path["failed"]) == ("local", 1, 2, 1)
    assert told["wait_s"]["p50"] is not None
    assert (len(told["series"]), told["bucket_s"]) == (60, 5)
    assert sum(each["accepted"] for each in told["series"]) == 4
    assert sum(each["succeeded"] for each in told["series"]) == 1


async def test_an_installation_where_nothing_happened_is_told_too(http: httpx.AsyncClient) -> None:
    told = await overview(http, window_s=60)

    assert (told["per_s"], told["failure_rate"], told["wait_s"]["p50"]) == (0, None, None)
    assert {each["accepted"] for each in told["series"]} == {0}


async def test_a_window_that_is_not_kept_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.get("/admin/overview", params={"window_s": 77}, headers=ADMIN)

    assert answer.status_code == 422


async def test_ten_who_look_at_once_cost_one_look(
    http: httpx.AsyncClient, unruly: UnrulyStore
) -> None:
    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(overview(http)) for _ in range(10)]

    assert unruly.begun == 1
    assert len({look.result()["at"] for look in looks}) == 1


async def test_a_store_that_is_away_is_told_to_all_who_wait(
    http: httpx.AsyncClient, unruly: UnrulyStore
) -> None:
    unruly.away = True
    while_away = await http.get("/admin/overview", headers=ADMIN)
    unruly.away = False

    assert while_away.status_code == 503
    assert (await overview(http))["lanes"] != []


async def test_a_worker_tells_what_it_does_and_how_it_is(
    http: httpx.AsyncClient, store: Store, submitted: str, backstage: Any
) -> None:
    await seen(store)
    await backstage.start(submitted)

    told = await worker(http)

    assert (told["id"], told["path"], told["state"], told["slots"]) == (
        *("w1", "local", "alive"),
        {"echo": 2},
    )
    (running,) = told["running"]
    assert (running["job"], running["kind"], running["attempt"]) == (submitted, "echo", 1)
    assert running["started_at"] is not None
    assert told["memory_bytes"] == 1 << 30
    assert told["gpus"][0]["name"] == "H100"
    assert told["models"] == [
        {"lane": "echo", "model": "echo", "slots": 2, "memory_bytes": 1 << 20, "load_s": 2.5}
    ]
    assert (told["receives"], told["why"]) == (True, "It waits for offers of lane echo.")


async def test_a_drained_worker_counts_for_nothing_new(
    http: httpx.AsyncClient, store: Store, submitted: str
) -> None:
    await seen(store)

    drained = (await http.post("/admin/workers/w1/drain", headers=ADMIN)).json()
    why = (await http.get(f"/admin/jobs/{submitted}/explain", headers=ADMIN)).json()
    (lane,) = (await http.get("/admin/lanes", headers=ADMIN)).json()["lanes"]
    resumed = (await http.post("/admin/workers/w1/resume", headers=ADMIN)).json()

    assert (drained["state"], drained["receives"]) == ("draining", False)
    assert drained["drain_asked_at"] is not None
    assert (why["rule"], why["workers"]) == ("no_worker", [])
    assert "draining" in why["why"]
    assert (lane["workers"], lane["slots"]) == (0, 0)
    assert (resumed["state"], resumed["drain_asked_at"]) == ("alive", None)
    audit = (await http.get("/admin/audit", headers=ADMIN)).json()["audit"]
    assert [each["action"] for each in audit] == ["worker.resume", "worker.drain"]


async def test_nobody_is_drained_by_a_slip_of_the_pen(http: httpx.AsyncClient) -> None:
    answers = [
        await http.post(f"/admin/workers/w9/{verb}", headers=ADMIN) for verb in ("drain", "resume")
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json()["type"] == "urn:headrace:problem:no-such-worker"
    assert (await http.get("/admin/audit", headers=ADMIN)).json()["audit"] == []


async def test_a_tenant_may_not_drain(http: httpx.AsyncClient, store: Store) -> None:
    await seen(store)

    assert (await http.post("/admin/workers/w1/drain", headers=RED)).status_code == 403
