"""Jobs are taken in: once per key, with their links, and waited for when asked."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from headrace.contracts.ids import JobId, Lane, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.ports.store import Query, Store
from headrace.testkit.waits import eventually

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
ECHO = {"kind": "echo", "input": {"text": "hello"}}


async def test_a_job_is_accepted_and_kept(http: httpx.AsyncClient, store: Store) -> None:
    answer = await http.post("/jobs", json=ECHO, headers=RED)

    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/jobs/{job['id']}" == job["links"]["self"]
    assert (job["kind"], job["model"], job["state"]) == ("echo", "echo-1", "queued")
    assert job["input"] == {"text": "hello"}
    async with store.begin() as tx:
        kept = await tx.find(TenantId("red"), JobId(job["id"]))
    assert kept is not None
    assert kept.path == "local"


async def test_every_wish_of_a_request_is_kept(http: httpx.AsyncClient, store: Store) -> None:
    wishes = {
        "model": "echo-2",
        "priority": 7,
        "timeout": 12.5,
        "labels": {"team": "red"},
        "run_at": "2100-01-01T01:00:00+01:00",
        "start_deadline": "2100-01-02T00:00:00Z",
    }

    answer = await http.post("/jobs", json={**ECHO, **wishes}, headers=RED)

    assert answer.json()["state"] == "scheduled"
    async with store.begin() as tx:
        kept = await tx.find(TenantId("red"), JobId(answer.json()["id"]))
    assert kept is not None
    assert kept.not_before is not None
    assert kept.not_before.isoformat() == "2100-01-01T00:00:00+00:00"
    assert kept.spec.start_deadline is not None
    assert (kept.spec.model, kept.spec.priority, kept.spec.timeout_s) == ("echo-2", 7, 12.5)
    assert kept.spec.labels == {"team": "red"}


async def test_the_same_key_makes_one_job(http: httpx.AsyncClient) -> None:
    keyed = {**RED, "Idempotency-Key": "order-7"}

    first = await http.post("/jobs", json=ECHO, headers=keyed)
    second = await http.post(
        "/jobs", json={"input": {"text": "hello"}, "kind": "echo"}, headers=keyed
    )

    assert second.status_code == first.status_code == 202
    assert second.json()["id"] == first.json()["id"]
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"


async def test_a_key_with_another_body_is_refused(http: httpx.AsyncClient) -> None:
    keyed = {**RED, "Idempotency-Key": "order-7"}
    await http.post("/jobs", json=ECHO, headers=keyed)

    answer = await http.post("/jobs", json={**ECHO, "priority": 1}, headers=keyed)

    assert answer.status_code == 422
    assert answer.json()["type"].endswith(":idempotency-conflict")


async def test_keys_of_two_tenants_do_not_meet(http: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "order-7"}

    red = await http.post("/jobs", json=ECHO, headers={**RED, **key})
    blue = await http.post("/jobs", json=ECHO, headers={**BLUE, **key})

    assert red.json()["id"] != blue.json()["id"]


async def test_a_waiting_client_gets_the_end(http: httpx.AsyncClient, backstage: Any) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(
            http.post("/jobs", json=ECHO, headers={**RED, "Prefer": "wait=20"})
        )
        (job,) = await eventually(lambda: _jobs(http))
        await backstage.start(job["id"])
        await backstage.finish(job["id"], {"text": "hello"})

    answer = waiting.result()
    assert answer.status_code == 200
    assert answer.json()["result"] == {"text": "hello"}
    assert answer.headers["preference-applied"] == "wait=20"


async def test_a_client_waits_no_longer_than_it_asked(http: httpx.AsyncClient) -> None:
    answer = await http.post("/jobs", json=ECHO, headers={**RED, "Prefer": "wait=1"})

    assert answer.status_code == 202
    assert answer.json()["state"] == "queued"


async def test_a_stopping_server_lets_the_waiting_go(http: httpx.AsyncClient, deps: Any) -> None:
    deps.stopping.set()

    answer = await http.post("/jobs", json=ECHO, headers={**RED, "Prefer": "wait=30"})

    assert answer.status_code == 202


async def test_inference_takes_any_kind_but_training(http: httpx.AsyncClient) -> None:
    taken = await http.post("/jobs/inference", json=ECHO)
    refused = await http.post("/jobs/inference", json={**ECHO, "kind": "training"})

    assert taken.status_code == 202
    assert refused.status_code == 422
    assert refused.json()["known"] == ["echo"]
    assert refused.json()["detail"] == "kind 'training' is taken at /jobs/training; here: echo"


@pytest.mark.parametrize("family", ["training", "inference"])
async def test_a_family_of_its_own_is_the_kind_that_need_not_be_named(
    http: httpx.AsyncClient, store: Store, family: str
) -> None:
    card = EngineCard(Lane(f"{family}-lane"), family, ["small"], {"type": "object"})
    async with store.begin() as tx:
        await tx.announce_engines([card])

    bare = await http.post(f"/jobs/{family}", json={"input": {}})
    named = await http.post(f"/jobs/{family}", json={"kind": family, "input": {}})

    for answer in (bare, named):
        assert answer.status_code == 202
        told = answer.json()
        assert (told["kind"], told["model"]) == (family, "small")
        assert answer.headers["location"] == told["links"]["self"] == f"/jobs/{told['id']}"


async def test_training_takes_no_other_kind(http: httpx.AsyncClient) -> None:
    refused = await http.post("/jobs/training", json=ECHO)

    assert refused.status_code == 422
    assert refused.json()["pointer"] == "/kind"


async def test_where_nobody_trains_it_is_refused(http: httpx.AsyncClient) -> None:
    refused = await http.post("/jobs/training", json={"input": {}})

    assert refused.status_code == 422
    assert refused.json()["known"] == ["echo"]


async def test_a_job_carries_the_trace_of_its_request(http: httpx.AsyncClient) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"

    answer = await http.post(
        "/jobs", json=ECHO, headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    )

    assert answer.json()["trace_id"] == trace
    assert answer.headers["x-trace-id"] == trace


async def test_a_broken_traceparent_is_replaced(http: httpx.AsyncClient) -> None:
    answer = await http.post("/jobs", json=ECHO, headers={"traceparent": "00-zz-1-01"})

    assert len(answer.json()["trace_id"]) == 32
    assert answer.headers["x-trace-id"] == answer.json()["trace_id"]


async def test_nothing_is_kept_of_what_is_refused(http: httpx.AsyncClient, store: Store) -> None:
    await http.post("/jobs", json={**ECHO, "kind": "nobody"}, headers=RED)
    await http.post("/jobs", json={**ECHO, "input": {"text": 1}}, headers=RED)

    async with store.begin() as tx:
        assert await tx.page(TenantId("red"), Query()) == []


async def _jobs(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await http.get("/jobs", headers=RED)).json()["jobs"]
    return found
