"""Users as operators see and change them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from headrace.api.deps import ApiDeps
from headrace.core.ports.store import Store
from headrace.core.usecases.users import Welcome
from headrace.testkit.apps import create_app

ADMIN = {"apikey": "key-of-admin", "X-Operator": "ann"}


@pytest.fixture
async def admin(deps: ApiDeps) -> AsyncGenerator[httpx.AsyncClient]:
    own = replace(deps, admin_key="key-of-admin", welcome=Welcome(floor=0))
    transport = httpx.ASGITransport(create_app(own), raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://headrace", headers=ADMIN
    ) as client:
        yield client


async def make(admin: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await admin.post("/admin/users", json={"alias": "ada", **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_user_is_made_with_a_key_that_is_good_at_every_door(
    admin: httpx.AsyncClient, store: Store
) -> None:
    made = await make(admin, kudos=12.5, concurrency=4, floor=-3)
    key = {"apikey": made["key"]}
    job = await admin.post("/jobs", json={"kind": "echo", "input": {"text": "a"}}, headers=key)
    horde = await admin.get("/api/v2/find_user", headers=key)

    assert (made["username"], made["kudos"]) == (f"ada#{made['id']}", 12.5)
    assert (made["concurrency"], made["floor"], made["held"]) == (4, -3, 0)
    assert (job.status_code, horde.json()["id"]) == (202, made["id"])
    async with store.begin() as tx:
        deeds = [each.deed for each in await tx.audited(before=None, limit=9)]
    assert {deed.action for deed in deeds} == {"user.create", "key.create"}
    assert {deed.who for deed in deeds} == {"ann"}
    assert made["key"] not in str(deeds)


async def test_a_tenant_that_there_is_becomes_a_user_and_stays_the_one_it_is(
    admin: httpx.AsyncClient,
) -> None:
    first = await make(admin, tenant="red")
    again = await make(admin, tenant="red", alias="bob")

    assert (again["id"], again["username"]) == (first["id"], first["username"])
    assert again["key"] != first["key"]


async def test_users_are_listed_page_by_page(admin: httpx.AsyncClient) -> None:
    made = [await make(admin) for _ in range(2)]

    first = (await admin.get("/admin/users", params={"limit": 2})).json()
    rest = (await admin.get("/admin/users", params={"limit": 2, "after": first["next"]})).json()

    assert [user["id"] for user in first["users"]] == [0, made[0]["id"]]
    assert ([user["id"] for user in rest["users"]], rest["next"]) == ([made[1]["id"]], None)


async def test_an_account_shows_how_it_came_by_what_it_has(admin: httpx.AsyncClient) -> None:
    made = await make(admin, kudos=5)
    for kudos in (2.5, -1):
        await admin.post(f"/admin/users/{made['id']}/grant", json={"kudos": kudos})

    found = (await admin.get(f"/admin/users/{made['id']}")).json()

    assert found["kudos"] == 6.5
    assert [each["kudos"] for each in found["postings"]] == [-1, 2.5, 5]
    assert {(each["reason"], each["counter"]) for each in found["postings"]} == {("grant", -1)}
    assert (await admin.get("/admin/ledger")).json() == {
        "total": 0,
        "lame_entries": 0,
        "wrong_balances": 0,
        "wrong_holds": 0,
        "below_floor": 0,
    }


async def test_what_a_user_is_and_may_is_changed_by_part(admin: httpx.AsyncClient) -> None:
    made = await make(admin)
    path = f"/admin/users/{made['id']}"

    trusted = await admin.patch(path, json={"trusted": True, "floor": -10})
    endless = await admin.patch(path, json={"no_floor": True, "alias": "eve"})

    assert (trusted.json()["trusted"], trusted.json()["floor"]) == (True, -10)
    assert endless.json() == {**trusted.json(), "floor": None, "username": f"eve#{made['id']}"}


async def test_nothing_is_taken_that_is_not_there(admin: httpx.AsyncClient) -> None:
    made = await make(admin, kudos=5)
    path = f"/admin/users/{made['id']}"

    taken = await admin.post(f"{path}/grant", json={"kudos": -5.001})

    assert (taken.status_code, taken.json()["type"]) == (
        409,
        "urn:headrace:problem:not-enough-kudos",
    )
    assert (await admin.get(path)).json()["kudos"] == 5


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/admin/users", {"alias": "a#7"}, 422),
        ("POST", "/admin/users", {"alias": "a", "tenant": "headrace/shadow"}, 422),
        ("POST", "/admin/users", {"alias": "a", "kudos": 0.0001}, 422),
        ("POST", "/admin/users", {"alias": "a", "floor": 1}, 422),
        ("POST", "/admin/users", {}, 422),
        ("PATCH", "/admin/users/0", {"floor": -1, "no_floor": True}, 422),
        ("PATCH", "/admin/users/0", {"other": 1}, 422),
        ("PATCH", "/admin/users/987654", {"trusted": True}, 404),
        ("POST", "/admin/users/987654/grant", {"kudos": 1}, 404),
        ("POST", "/admin/users/0/grant", {"kudos": "1"}, 422),
        ("GET", "/admin/users/987654", None, 404),
        ("GET", "/admin/users/x", None, 422),
        ("GET", "/admin/users?after=-2", None, 422),
    ],
)
async def test_what_cannot_be_is_told_in_a_problem(
    admin: httpx.AsyncClient, method: str, path: str, body: Any, status: int
) -> None:
    answer = await admin.request(method, path, json=body)

    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
