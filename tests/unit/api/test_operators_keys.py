"""Keys that operators make: shown once, good for what they say, revoked for ever; and who the audit names."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from websockets.asyncio.client import connect

from headrace.api.auth import Keys
from headrace.api.deps import ApiDeps
from headrace.contracts.ids import KeyId
from headrace.core import keyring
from headrace.core.errors import Unavailable
from headrace.core.keyring import Keyring
from headrace.core.ports.store import Store, Transaction
from headrace.testkit.apps import create_app
from headrace.testkit.waits import eventually

ADMIN = {"apikey": "key-of-admin"}
RED = {"apikey": "key-of-red"}
JOB = {"kind": "echo", "input": {"text": "a"}}


@pytest.fixture
def app(deps: ApiDeps) -> FastAPI:
    return create_app(
        replace(deps, admin_key=ADMIN["apikey"], limits=replace(deps.limits, recheck_s=0.05))
    )


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a second had passed since a key was last asked for."""
    monkeypatch.setattr(keyring, "FRESH_S", 0.0)


async def make(http: httpx.AsyncClient, **asked: Any) -> dict[str, Any]:
    answer = await http.post("/admin/keys", json={"tenant": "red", **asked}, headers=ADMIN)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def shown(made: dict[str, Any]) -> dict[str, str]:
    return {"apikey": made["key"]}


async def test_a_new_key_is_shown_once_and_kept_nowhere(
    http: httpx.AsyncClient, store: Store
) -> None:
    answer = await http.post("/admin/keys", json={"tenant": "red", "name": "ci"}, headers=ADMIN)
    made = answer.json()
    listed = await http.get("/admin/keys", params={"tenant": "red"}, headers=ADMIN)
    audit = await http.get("/admin/audit", headers=ADMIN)

    assert len(made["key"]) == 22
    assert made["key"].startswith(made["hint"])
    assert len(made["hint"]) == 4
    assert (made["scopes"], answer.headers["cache-control"]) == (["read", "submit"], "no-store")
    assert listed.json()["keys"] == [{k: v for k, v in made.items() if k != "key"}]
    assert made["key"] not in listed.text + audit.text
    async with store.begin() as tx:
        assert made["key"] not in str(await tx.key(KeyId(made["id"])))


async def test_a_key_submits_and_the_job_says_which_it_was(http: httpx.AsyncClient) -> None:
    made = await make(http)
    job = (await http.post("/jobs", json=JOB, headers=shown(made))).json()
    other = (await http.post("/jobs", json=JOB, headers=RED)).json()

    async def key_of(job: dict[str, Any]) -> Any:
        return (await http.get(f"/jobs/{job['id']}/timeline", headers=RED)).json()["api_key"]

    assert await key_of(job) == made["id"]
    assert await key_of(other) is None


async def test_what_is_made_of_a_job_or_schedule_by_hand_says_whose_hand_it_was(
    http: httpx.AsyncClient, submitted: str, backstage: Any
) -> None:
    made = await make(http)
    await backstage.start(submitted)
    await backstage.fail(submitted, {"kind": "internal", "message": "it broke"})
    schedule = {"cron": "0 6 * * *", "job": JOB}
    kept = (await http.post("/schedules", json=schedule, headers=RED)).json()["id"]

    again = await http.post(f"/jobs/{submitted}/retry", headers=shown(made))
    now = await http.post(f"/schedules/{kept}/run-now", headers=shown(made))

    for answer in (again, now):
        timeline = await http.get(f"/jobs/{answer.json()['id']}/timeline", headers=RED)
        assert timeline.json()["api_key"] == made["id"]


async def test_a_revoked_key_is_refused(http: httpx.AsyncClient, at_once: None) -> None:
    made = await make(http)
    before = await http.get("/jobs", headers=shown(made))

    revoked = await http.post(f"/admin/keys/{made['id']}/revoke", headers=ADMIN)
    after = await http.get("/jobs", headers=shown(made))

    assert (before.status_code, after.status_code) == (200, 401)
    assert revoked.json()["revoked_at"] is not None
    again = await http.post(f"/admin/keys/{made['id']}/revoke", headers=ADMIN)
    assert again.json() == revoked.json()


@pytest.mark.parametrize("key", [str(UUID(int=7)), "no-uuid"])
async def test_a_key_that_nobody_made_is_not_revoked(http: httpx.AsyncClient, key: str) -> None:
    answer = await http.post(f"/admin/keys/{key}/revoke", headers=ADMIN)

    assert (answer.status_code, answer.json()["type"]) == (404, "urn:headrace:problem:no-such-key")


async def test_what_a_revoked_key_opened_is_closed(
    server: Any, live: httpx.AsyncClient, submitted: str, backstage: Any, at_once: None
) -> None:
    await backstage.start(submitted)
    made = await make(live)
    events = f"/jobs/{submitted}/events"
    async with (
        connect(f"ws://{server.address}/ws", additional_headers=shown(made)) as socket,
        live.stream("GET", events, headers=shown(made)) as stream,
        live.stream("GET", events, headers=RED) as others,
    ):
        await live.post(f"/admin/keys/{made['id']}/revoke", headers=ADMIN)
        said = [line async for line in stream.aiter_lines()]  # it ends
        await socket.wait_closed()
        await backstage.finish(submitted, {"text": "abc"})
        heard = [line async for line in others.aiter_lines()]

    assert socket.close_code == 1008
    assert "event: started" in said
    assert "event: succeeded" not in said
    assert "event: succeeded" in heard


async def test_a_ticket_of_a_revoked_key_opens_nothing(
    live: httpx.AsyncClient, submitted: str, at_once: None
) -> None:
    made = await make(live)
    ticket = (await live.post("/tickets", headers=shown(made))).json()["ticket"]
    await live.post(f"/admin/keys/{made['id']}/revoke", headers=ADMIN)

    answer = await live.get(f"/jobs/{submitted}/events", params={"ticket": ticket})

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["everything"]}, "/scopes/0"),
        ({"name": "a/b"}, "/name"),
        ({"tenant": "(operators)"}, "/tenant"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"key": "chosen by a person"}, "/key"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused_with_the_place(
    http: httpx.AsyncClient, asked: dict[str, Any], pointer: str
) -> None:
    answer = await http.post("/admin/keys", json={"tenant": "red", **asked}, headers=ADMIN)

    assert (answer.status_code, answer.json()["pointer"]) == (422, pointer)


async def test_keys_are_listed_page_by_page(http: httpx.AsyncClient) -> None:
    made = [(await make(http))["id"] for _ in range(3)]
    await make(http, tenant="blue")

    async def page(**params: Any) -> dict[str, Any]:
        asked = {"tenant": "red", "limit": 2, **params}
        found: dict[str, Any] = (await http.get("/admin/keys", params=asked, headers=ADMIN)).json()
        return found

    first = await page()
    rest = await page(cursor=first["next"])

    assert [each["id"] for each in first["keys"] + rest["keys"]] == made[::-1]
    assert rest["next"] is None


async def test_the_audit_names_the_key_whatever_the_request_says(
    http: httpx.AsyncClient, keyed: Any
) -> None:
    bot = {**await keyed("admin", name="deploy bot"), "X-Operator": "ann"}
    nameless = await keyed("admin", name="", id="k1")
    for headers in (bot, nameless, {**ADMIN, "X-Operator": "ann"}, ADMIN):
        await http.post("/admin/lanes/echo/pause", headers=headers)

    audit = (await http.get("/admin/audit", headers=ADMIN)).json()["audit"]

    assert [each["who"] for each in audit] == ["admin", "ann", "k1", "deploy bot"]


async def test_what_is_done_to_keys_is_in_the_audit(http: httpx.AsyncClient) -> None:
    made = await make(http, name="ci", scopes=["read"])
    await http.post(f"/admin/keys/{made['id']}/revoke", headers=ADMIN)

    audit = (await http.get("/admin/audit", headers=ADMIN)).json()["audit"]

    assert [(each["action"], each["subject"]) for each in audit] == [
        ("key.revoke", made["id"]),
        ("key.create", made["id"]),
    ]
    assert audit[1]["detail"]["scopes"] == ["read"]


async def test_a_key_operates_without_any_admin_key(deps: ApiDeps, keyed: Any) -> None:
    transport = httpx.ASGITransport(create_app(deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as http:
        mine = await http.get("/admin/lanes", headers=await keyed("admin:read"))
        nobodys = await http.get("/admin/lanes", headers={"apikey": "wrong"})
        lacking = await http.get("/admin/lanes", headers=await keyed("submit"))

    assert (mine.status_code, nobodys.status_code, lacking.status_code) == (200, 404, 403)


@pytest.mark.parametrize(
    ("scopes", "read", "change"),
    [
        (["submit"], False, False),
        (["admin:read", "read"], True, False),
        (["admin"], True, True),
    ],
)
async def test_a_key_is_told_what_it_is_good_for(
    http: httpx.AsyncClient, keyed: Any, scopes: list[str], read: bool, change: bool
) -> None:
    told = await http.get("/admin/whoami", headers=await keyed(*scopes, name="ci"))

    assert told.json() == {
        "tenant": "red",
        "scopes": sorted(scopes),
        "may_read": read,
        "may_change": change,
        "who": "ci",
    }


async def test_who_needs_no_key_and_who_has_a_wrong_one_are_told_too(
    http: httpx.AsyncClient,
) -> None:
    nobody = (await http.get("/admin/whoami")).json()
    admin = await http.get("/admin/whoami", headers={**ADMIN, "X-Operator": "ann"})
    wrong = await http.get("/admin/whoami", headers={"apikey": "wrong"})

    assert (nobody["tenant"], nobody["may_read"]) == ("anyone", False)
    assert admin.json() == {
        "tenant": None,
        "scopes": ["admin"],
        "may_read": True,
        "may_change": True,
        "who": "ann",
    }
    assert wrong.status_code == 401


async def test_tenants_are_listed_with_what_they_have(
    http: httpx.AsyncClient, submitted: str
) -> None:
    await make(http)
    await http.put("/admin/tenants/green", json={"weight": 3}, headers=ADMIN)

    found = (await http.get("/admin/tenants", headers=ADMIN)).json()
    few = (await http.get("/admin/tenants", params={"limit": 2}, headers=ADMIN)).json()
    rest = await http.get("/admin/tenants", params={"after": few["next"]}, headers=ADMIN)

    tenants = {each["tenant"]: each for each in found["tenants"]}
    assert list(tenants) == ["anyone", "blue", "green", "red"]
    assert (tenants["red"]["waiting"], tenants["red"]["running"], tenants["red"]["keys"]) == (
        1,
        0,
        1,
    )
    assert (tenants["green"]["weight"], tenants["blue"]["keys"]) == (3, 0)
    assert few["tenants"] + rest.json()["tenants"] == found["tenants"]


async def test_health_says_why_to_who_may_look(
    deps: ApiDeps, keyed: Any, streams: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ping() -> None:
        raise Unavailable("the streams", "no route to cache.internal")

    monkeypatch.setattr(streams, "ping", ping)
    looker, submitter = await keyed("admin:read"), await keyed("submit")
    transport = httpx.ASGITransport(create_app(deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as http:
        frank = await http.get("/health", headers=looker)
        discreet = await http.get("/health", headers=submitter)

    assert "cache.internal" in frank.text
    assert "cache.internal" not in discreet.text


class Away:
    """A store that nobody reaches."""

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Transaction]:
        raise Unavailable("the store", "nobody reaches it")
        yield


async def test_while_the_store_is_away_a_new_key_is_told_to_come_back(deps: ApiDeps) -> None:
    ring = Keyring(cast("Any", Away()))
    app = create_app(replace(deps, auth=Keys({"red": RED["apikey"]}, anonymous=None, ring=ring)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as http:
        unknown = await http.get("/jobs", headers={"apikey": "perhaps good"})
        of_environment = await http.get("/jobs", headers=RED)
        health = await http.get("/health", headers={"apikey": "perhaps good"})

    assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "2")
    assert (of_environment.status_code, health.status_code) == (200, 200)


async def test_a_use_shows_once_it_was_written(
    server: Any, live: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, deps: ApiDeps
) -> None:
    made = await make(live)
    await live.get("/jobs", headers=shown(made))
    ring = deps.auth._ring
    assert ring is not None
    await ring.write_used()

    async def seen() -> bool:
        listed = (await live.get("/admin/keys", headers=ADMIN)).json()["keys"]
        return listed[0]["last_used_at"] is not None

    await eventually(seen)
