"""Deleting over HTTP: a receipt that says what went, the same again, and nothing of anybody else's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.api.deps import ApiDeps
from headrace.contracts.ids import START, JobId
from headrace.core.ports.store import Store
from headrace.core.usecases.cancel import honour_cancels
from headrace.core.usecases.erase import Places
from headrace.core.usecases.go_on_erasing import go_on
from headrace.testkit.apps import create_app
from headrace.testkit.waits import eventually

RED, BLUE, ADMIN = ({"apikey": f"key-of-{who}"} for who in ("red", "blue", "admin"))
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def app(deps: ApiDeps) -> FastAPI:
    return create_app(replace(deps, admin_key=ADMIN["apikey"]))


async def dispatched(deps: ApiDeps, wish: httpx.Response) -> None:
    """What a dispatcher does about it, until it is over."""

    async def over() -> bool:
        await honour_cancels(deps.store, path="local", limit=100)
        await go_on(deps.store, Places(deps.streams, deps.blobs), limit=10)
        async with deps.store.begin() as tx:
            found = await tx.lock_deletion(wish.json()["id"])
        return found is not None and found.finished_at is not None

    await eventually(over)


async def looked_at(http: httpx.AsyncClient, wish: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get(f"/deletions/{wish['id']}", headers=RED)).json()
    return found


async def test_a_job_that_ended_is_gone_when_the_answer_comes(
    http: httpx.AsyncClient,
    submitted: str,
    backstage: Any,
    streams: InProcessStreams,
    deps: ApiDeps,
) -> None:
    await backstage.start(submitted)
    await backstage.finish(submitted, {"text": "a"})

    answer = await http.delete(f"/jobs/{submitted}", headers=RED)

    receipt = answer.json()
    assert answer.status_code == 200
    assert receipt["removed"] == {"jobs": 1, "attempts": 1, "streams": 1}
    assert (receipt["state"], receipt["left"], receipt["asked_by"]) == ("done", 0, "red")
    assert (await http.get(f"/jobs/{submitted}", headers=RED)).status_code == 404
    assert (await http.get(f"/jobs/{submitted}/events", headers=RED)).status_code == 404
    assert (await streams.read(JobId(submitted), START, limit=1)).entries == ()
    again = await http.delete(f"/jobs/{submitted}", headers=RED)
    assert (again.status_code, again.json()) == (200, receipt)
    assert await looked_at(http, receipt) == receipt


async def test_the_receipt_is_its_tenants_and_the_audit_names_the_key(
    http: httpx.AsyncClient, submitted: str, backstage: Any, keyed: Any
) -> None:
    await backstage.cancel(submitted)
    mine = await keyed("submit", "read")

    receipt = (await http.delete(f"/jobs/{submitted}", headers=mine)).json()

    assert (await http.get(f"/deletions/{receipt['id']}", headers=BLUE)).status_code == 404
    by_operator = await http.get(f"/admin/deletions/{receipt['id']}", headers=ADMIN)
    assert by_operator.json() == receipt
    (deed,) = (await http.get("/admin/audit", headers=ADMIN)).json()["audit"]
    assert (deed["who"], deed["action"]) == (receipt["asked_by"], "delete")
    assert (deed["subject"], deed["detail"]) == (f"job {submitted}", {"tenant": "red"})


async def test_what_is_not_mine_or_is_not_there_cannot_be_deleted(
    http: httpx.AsyncClient, submitted: str, keyed: Any
) -> None:
    reader = await keyed("read")

    assert (await http.delete(f"/jobs/{submitted}", headers=BLUE)).status_code == 404
    assert (await http.delete(f"/jobs/{submitted}", headers=reader)).status_code == 403
    assert (await http.delete(f"/jobs/{NOBODY}", headers=RED)).status_code == 404
    assert (await http.delete(f"/runs/{NOBODY}", headers=RED)).status_code == 404
    assert (await http.get("/deletions/nonsense", headers=RED)).status_code == 404
    assert (await http.get(f"/jobs/{submitted}", headers=RED)).status_code == 200


async def test_a_job_that_goes_on_is_cancelled_first_if_that_is_said(
    http: httpx.AsyncClient, submitted: str, deps: ApiDeps
) -> None:
    refused = await http.delete(f"/jobs/{submitted}", headers=RED)
    wish = await http.delete(f"/jobs/{submitted}?cancel=1", headers=RED)

    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:headrace:problem:not-over"
    assert wish.status_code == 202
    assert (wish.json()["state"], wish.json()["left"]) == ("removing", 1)
    await dispatched(deps, wish)
    assert (await http.get(f"/jobs/{submitted}", headers=RED)).status_code == 404


async def test_many_go_by_label_and_the_labels_are_not_kept(
    http: httpx.AsyncClient, deps: ApiDeps, store: Store
) -> None:
    body = {"kind": "echo", "input": {"text": "a"}, "labels": {"customer": "zebra"}}
    for _ in range(3):
        await http.post("/jobs", json=body, headers=RED)
    await http.post("/jobs", json={**body, "labels": {}}, headers=RED)

    wish = await http.post(
        "/jobs/delete",
        json={"labels": {"customer": "zebra"}, "cancel": True},
        headers={**RED, "Idempotency-Key": "k"},
    )
    again = await http.post(
        "/jobs/delete",
        json={"labels": {"customer": "zebra"}, "cancel": True},
        headers={**RED, "Idempotency-Key": "k"},
    )
    await dispatched(deps, wish)

    assert wish.status_code == 202
    assert again.json() == wish.json()
    assert len((await http.get("/jobs", headers=RED)).json()["jobs"]) == 1
    async with store.begin() as tx:
        kept = await tx.deletion(None, wish.json()["id"])
        assert "zebra" not in repr(kept)
        assert "zebra" not in repr(await tx.audited(before=None, limit=100))


@pytest.mark.parametrize(
    "body", [{}, {"cancel": True}, {"labels": {"a": 1}}, {"ended_before": "soon"}, {"all": True}]
)
async def test_a_wish_about_nothing_in_particular_is_refused(
    http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    assert (await http.post("/jobs/delete", json=body, headers=RED)).status_code == 422


async def test_an_operator_deletes_all_that_a_tenant_has(
    http: httpx.AsyncClient, submitted: str, deps: ApiDeps
) -> None:
    blob = (await http.post("/blobs", content=b"x", headers=RED | OCTETS)).json()["blob"]
    await http.post("/jobs", json={"kind": "echo", "input": {"text": "b"}}, headers=BLUE)

    refused = await http.delete("/admin/tenants/red/data", headers=RED)
    wish = await http.delete("/admin/tenants/red/data", headers=ADMIN)
    await dispatched(deps, wish)

    assert refused.status_code == 403
    assert wish.status_code == 202
    assert (await http.get("/jobs", headers=RED)).json()["jobs"] == []
    assert (await http.get(f"/blobs/{blob}", headers=RED)).status_code == 404
    assert len((await http.get("/jobs", headers=BLUE)).json()["jobs"]) == 1


OCTETS = {"Content-Type": "application/octet-stream"}
