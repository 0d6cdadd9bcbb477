"""`/webhooks` and `webhook` at `POST /jobs`: who is called, with what, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest
from tests.unit.api.conftest import BLUE, ECHO, RED, Backstage

from headrace.api.deps import ApiDeps
from headrace.api.dialects.native.translate import job_view
from headrace.contracts.ids import JobId, TenantId
from headrace.core.ports.store import Store
from headrace.core.ports.webhooks import Call, CallQuery, CallState, Try
from headrace.core.usecases.webhooks import MOST_ENDPOINTS
from headrace.core.webhook_retry import given_up

URL = "https://receiver.example/hook"
ADMIN = {"apikey": "key-of-the-admin"}


@pytest.fixture
def deps(deps: ApiDeps) -> ApiDeps:
    return replace(deps, admin_key=ADMIN["apikey"])


async def submit(http: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    body = {"kind": ECHO.kind, "input": {"text": "a"}, **fields}
    return await http.post("/jobs", json=body, headers=RED)


async def made(http: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await http.post("/webhooks", json={"url": URL, **fields}, headers=RED)
    assert answer.status_code == 201
    found: dict[str, Any] = answer.json()
    return found


async def a_call(store: Store, http: httpx.AsyncClient, backstage: Backstage) -> Call:
    """Of a job that was cancelled."""
    job = (await submit(http, webhook=URL)).json()["id"]
    await backstage.cancel(job)
    async with store.begin() as tx:
        made = await tx.calls(CallQuery(job=JobId(job)))
    return next(each for each in made if each.endpoint is None)


@pytest.mark.parametrize("webhook", [URL, {"url": URL, "events": ["job.succeeded"]}])
async def test_a_job_may_name_who_is_called_and_the_call_shows_it_as_this_door_does(
    store: Store, http: httpx.AsyncClient, backstage: Backstage, webhook: Any
) -> None:
    answer = await submit(http, webhook=webhook, labels={"team": "red"})
    job = answer.json()["id"]
    await backstage.start(job)
    await backstage.finish(job, {"text": "hello"})

    async with store.begin() as tx:
        (call,) = await tx.calls(CallQuery(job=JobId(job)))
        found = await tx.find(TenantId("red"), JobId(job))
    assert answer.status_code == 202
    assert found is not None
    said, shown = (
        msgspec.json.decode(call.body),
        msgspec.json.decode(job_view(found).model_dump_json()),
    )
    shown.pop("input")
    assert (said["type"], said["data"]) == ("job.succeeded", shown)


@pytest.mark.parametrize(
    ("webhook", "pointer", "why"),
    [
        ("http://receiver.example/", "/webhook", "only https"),
        ("https://169.254.169.254/", "/webhook", "not a public address"),
        ({"url": "https://0x7f.1/"}, "/webhook/url", "not a public address"),
        ({"url": "https://user:pass@host.example/"}, "/webhook/url", "no user"),
    ],
)
async def test_what_would_not_be_called_is_refused_at_the_door(
    http: httpx.AsyncClient, webhook: Any, pointer: str, why: str
) -> None:
    answer = await submit(http, webhook=webhook)
    assert answer.status_code == 422
    assert answer.json()["pointer"] == pointer
    assert why in answer.json()["detail"]


async def test_an_event_that_there_is_not_is_refused(http: httpx.AsyncClient) -> None:
    answer = await submit(http, webhook={"url": URL, "events": ["job.eaten"]})
    assert answer.status_code == 422


async def test_a_webhook_is_made_shown_changed_and_deleted(http: httpx.AsyncClient) -> None:
    new = await made(http, events=["job.dead"], note="for ops")
    at = f"/webhooks/{new['id']}"

    shown = (await http.get(at, headers=RED)).json()
    listed = (await http.get("/webhooks", headers=RED)).json()["webhooks"]
    changed = await http.patch(
        at, json={"url": f"{URL}/2", "events": [], "enabled": False}, headers=RED
    )
    enabled = await http.patch(at, json={"enabled": True}, headers=RED)
    gone = await http.delete(at, headers=RED)

    assert listed == [shown]
    assert (shown["events"], shown["note"], new["secret"][:6]) == (
        ["job.dead"],
        "for ops",
        "whsec_",
    )
    assert "secret" not in shown
    assert (changed.json()["url"], changed.json()["events"]) == (f"{URL}/2", [])
    assert changed.json()["disabled_why"] == "asked"
    assert enabled.json()["disabled_at"] is None
    assert (gone.status_code, (await http.get(at, headers=RED)).status_code) == (204, 404)


async def test_an_address_inside_is_refused_for_an_endpoint_too(http: httpx.AsyncClient) -> None:
    inside = {"url": "https://[::ffff:10.0.0.1]/"}
    new = await made(http)
    answers = [
        await http.post("/webhooks", json=inside, headers=RED),
        await http.patch(f"/webhooks/{new['id']}", json=inside, headers=RED),
    ]
    assert [(each.status_code, each.json()["pointer"]) for each in answers] == [(422, "/url")] * 2


async def test_there_is_an_end_to_how_many_a_tenant_has(http: httpx.AsyncClient) -> None:
    for _ in range(MOST_ENDPOINTS):
        await made(http)
    answer = await http.post("/webhooks", json={"url": URL}, headers=RED)
    assert (answer.status_code, answer.json()["type"]) == (
        409,
        "urn:headrace:problem:too-many-webhooks",
    )


async def test_nobody_sees_or_touches_another_tenant_s(
    store: Store, http: httpx.AsyncClient, backstage: Backstage
) -> None:
    new, call = await made(http), await a_call(store, http, backstage)
    at = f"/webhooks/{new['id']}"

    answers = [
        await http.get(at, headers=BLUE),
        await http.patch(at, json={"enabled": False}, headers=BLUE),
        await http.delete(at, headers=BLUE),
        await http.get(f"{at}/secret", headers=BLUE),
        await http.post(f"{at}/secret/rotate", headers=BLUE),
        await http.get(f"/webhooks/deliveries/{call.id}", headers=BLUE),
        await http.post(f"/webhooks/deliveries/{call.id}/redeliver", headers=BLUE),
    ]
    listed = (await http.get("/webhooks/deliveries", headers=BLUE)).json()["deliveries"]

    assert {each.status_code for each in answers} == {404}
    assert listed == []


@pytest.mark.parametrize("of_jobs", [True, False])
async def test_a_secret_is_shown_and_turned(http: httpx.AsyncClient, *, of_jobs: bool) -> None:
    at = "/webhooks/jobs/secret" if of_jobs else f"/webhooks/{(await made(http))['id']}/secret"

    first = (await http.get(at, headers=RED)).json()
    turned = await http.post(f"{at}/rotate", headers=RED)
    again = (await http.get(at, headers=RED)).json()

    assert first["secret"].startswith("whsec_")
    assert first["old"] is None
    assert turned.json()["old"] == first["secret"] != turned.json()["secret"]
    assert again == turned.json()
    assert turned.headers["cache-control"] == "no-store"


async def test_a_key_that_may_only_look_learns_no_secret(
    http: httpx.AsyncClient, keyed: Any
) -> None:
    reader = await keyed("read")
    assert (await http.get("/webhooks/jobs/secret", headers=reader)).status_code == 403
    assert (await http.get("/webhooks", headers=reader)).status_code == 200


async def test_deliveries_are_a_log_and_can_be_made_again(
    store: Store, http: httpx.AsyncClient, backstage: Backstage
) -> None:
    call = await a_call(store, http, backstage)
    async with store.begin() as tx:
        tried = replace(call, tries=3, log=(Try(call.created_at, 500, "answered 500", 12),))
        await tx.save_call(call, given_up(tried, await tx.now()))
    at = f"/webhooks/deliveries/{call.id}"

    before = (await http.get(at, headers=RED)).json()
    params = {"state": "given_up", "job": call.job}
    listed = (await http.get("/webhooks/deliveries", params=params, headers=RED)).json()
    again = await http.post(f"{at}/redeliver", headers={**RED, "Idempotency-Key": "k"})
    twin = await http.post(f"{at}/redeliver", headers={**RED, "Idempotency-Key": "k"})

    assert (before["state"], before["log"][0]["error"]) == ("given_up", "answered 500")
    body = before.pop("body")
    assert body == msgspec.json.decode(call.body)
    assert body["data"]["id"] == call.job
    assert listed == {"deliveries": [before], "next": None}
    assert (again.json()["state"], again.json()["tries"]) == ("waiting", 0)
    assert again.json()["message"] == before["message"]
    assert twin.headers["idempotent-replayed"] == "true"


async def test_deliveries_are_told_page_by_page(
    store: Store, http: httpx.AsyncClient, backstage: Backstage
) -> None:
    calls = [await a_call(store, http, backstage) for _ in range(3)]
    first = (await http.get("/webhooks/deliveries", params={"limit": 2}, headers=RED)).json()
    rest = (
        await http.get("/webhooks/deliveries", params={"cursor": first["next"]}, headers=RED)
    ).json()
    bad = await http.get("/webhooks/deliveries", params={"cursor": "?"}, headers=RED)

    found = [each["id"] for each in (*first["deliveries"], *rest["deliveries"])]
    assert sorted(found) == sorted(each.id for each in calls)
    assert (rest["next"], bad.status_code) == (None, 422)


async def test_what_went_to_an_endpoint_that_is_gone_cannot_be_made_again(
    store: Store, http: httpx.AsyncClient, backstage: Backstage, submitted: str
) -> None:
    new = await made(http)
    await backstage.cancel(submitted)
    (call,) = (await http.get("/webhooks/deliveries", headers=RED)).json()["deliveries"]
    await http.delete(f"/webhooks/{new['id']}", headers=RED)

    answer = await http.post(f"/webhooks/deliveries/{call['id']}/redeliver", headers=RED)

    assert call["webhook"] == new["id"]
    assert (answer.status_code, answer.json()["type"]) == (
        409,
        "urn:headrace:problem:nobody-to-call",
    )


async def test_operators_see_everybody_s_and_what_they_do_is_audited(
    store: Store, http: httpx.AsyncClient, backstage: Backstage
) -> None:
    new, call = await made(http), await a_call(store, http, backstage)

    hooks = (await http.get("/admin/webhooks", params={"tenant": "red"}, headers=ADMIN)).json()
    calls = (await http.get("/admin/webhooks/deliveries", headers=ADMIN)).json()
    one = await http.get(f"/admin/webhooks/deliveries/{call.id}", headers=ADMIN)
    again = await http.post(f"/admin/webhooks/deliveries/{call.id}/redeliver", headers=ADMIN)
    audit = (await http.get("/admin/audit", headers=ADMIN)).json()
    stranger = await http.get("/admin/webhooks", headers=RED)

    assert [(each["id"], each["tenant"]) for each in hooks["webhooks"]] == [(new["id"], "red")]
    assert {each["id"] for each in calls["deliveries"]} >= {call.id}
    assert (one.json()["tenant"], again.json()["state"]) == ("red", CallState.WAITING)
    assert one.json()["body"] == msgspec.json.decode(call.body)
    assert "webhook.redeliver" in str(audit)
    assert stranger.status_code == 403
