"""Every route says which scope it takes, and holds to it."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4  # noqa: TID251  # tests make ids of their own

import httpx
import pytest
from fastapi import FastAPI
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from headrace.api.scopes import Stated, stated
from headrace.core.ports.keys import Scope

ASKED_OF_NOBODY = {"/livez", "/readyz", "/health", "/metrics"} | {
    f"/api/v2/{path}"  # the id of a request is what lets somebody see it
    for path in (
        "status/heartbeat",
        "generate/check/{id}",
        "interrogate/status/{id}",
        "users/register",
        "generate/{id}/stream",
        "generate/status/{id}",
        "generate/text/status/{id}",
        "generate/video/check/{id}",
        "generate/video/status/{id}",
        *("collections", "collections/{id}", "collection_by_name/{id}", "teams", "teams/{id}"),
        *(
            f"styles/{of}{which}"
            for of in ("image", "text")
            for which in ("", "/{id}", "_by_name/{id}")
        ),
        "blobs/{blob}",
        *(f"status/{each}" for each in ("models", "models/{name}", "performance", "news", "modes")),
        *(f"stats/{of}/{each}" for of in ("img", "text") for each in ("totals", "models")),
    )
}
READ_BY_ANYBODY = {f"/api/v2/workers{rest}" for rest in ("", "/{worker}", "/name/{name}")} | {
    "/api/v2/sharedkeys/{sharedkey_id}"
}
OF_ANY_KEY = {"/admin/whoami"}
WATCHING = {"/tickets"}  # it changes nothing that is anybody's
REFUSED = {"scope-missing", "read-only", "forbidden", "Forbidden"}
FORBIDDEN = {Scope.ADMIN: "NotModerator"}  # at the horde door; else "Forbidden"
SENDING = {"/uploads/{upload}"}  # of whoever sends, who has to see how much has come
SECRET = {"/webhooks/{webhook}/secret"}  # who knows it can speak in our name
JOB = {"kind": "echo", "input": {"text": "a"}}


def told(app: FastAPI) -> list[Stated]:
    found = list(stated(app))
    assert len(found) > 40, "the routes of an app are kept elsewhere now"
    return found


def asks_nobody(route: Stated) -> bool:
    by_anybody = route.methods == {"GET"} and route.path in READ_BY_ANYBODY
    return by_anybody or route.path in ASKED_OF_NOBODY or route.methods == {"OPTIONS"}


def test_every_route_states_its_scope(app: FastAPI) -> None:
    """Who adds one has to take a Tenant, Owner, Submitter, Watcher, Viewer, Door, Reader or Operator."""
    for route in told(app):
        asked = not asks_nobody(route) and route.path not in OF_ANY_KEY
        assert len(route.scopes) == (1 if asked else 0), route


def test_what_changes_something_is_not_for_who_may_only_look(app: FastAPI) -> None:
    for route in told(app):
        changes = route.methods & {"POST", "PUT", "PATCH", "DELETE"}
        if changes and route.scopes and route.path not in WATCHING:
            assert route.scopes <= {Scope.SUBMIT, Scope.MODELS, Scope.WORKER, Scope.ADMIN}, route
        else:
            looks = (
                {Scope.READ, Scope.ADMIN_READ}
                if route.path not in SECRET | SENDING
                else {Scope.SUBMIT}
            )
            assert route.scopes <= looks, route


def test_what_is_of_operators_is_for_nobody_else(app: FastAPI) -> None:
    for route in told(app):
        if route.path.startswith("/admin") and route.path not in OF_ANY_KEY:
            assert route.scopes <= {Scope.ADMIN, Scope.ADMIN_READ}, route


def test_the_description_says_it_too(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    for route in told(app):
        for method in route.methods:
            operation = paths[route.path][method.lower()]
            if not asks_nobody(route):
                assert operation["security"][0] == {"apikey": sorted(route.scopes)}, route
                assert "403" in operation["responses"], route


@pytest.mark.parametrize("held", ["read", "submit", "models", "worker", "admin:read", "admin"])
async def test_every_route_refuses_a_key_that_lacks_its_scope(
    app: FastAPI, http: httpx.AsyncClient, keyed: Any, held: str
) -> None:
    headers = await keyed(held)
    refused = 0
    for route in told(app):
        for method in route.methods if route.scopes else ():
            (needed,) = route.scopes
            answer = await http.request(method, _filled(route.path), headers=headers)
            problem = _problem(answer)
            said = problem.get("type", problem.get("rc", "")).rpartition(":")[2]

            if Scope(held).includes(Scope(needed)):
                assert said not in REFUSED, (method, route)
            elif route.path.startswith("/api/v2"):
                assert (answer.status_code, said) == (
                    403,
                    FORBIDDEN.get(Scope(needed), "Forbidden"),
                ), (method, route)
            else:
                assert answer.status_code == 403, (method, route)
                if method == "HEAD":  # which says no more
                    continue
                assert problem["scope"] == needed
                read_only = (held, needed) == ("admin:read", "admin")
                assert said == ("read-only" if read_only else "scope-missing")
                refused += 1
    assert refused > 10


def _problem(answer: httpx.Response) -> Any:
    """What was refused, also by the door that says it in a way of its own."""
    if answer.status_code < 400 or answer.request.method == "HEAD":
        return {}
    match answer.json():
        case {"error": {"code": "insufficient_permissions", "message": message}}:
            return {"type": "scope-missing", "scope": message.split("'")[1]}
        case problem:
            return problem


def _filled(path: str) -> str:
    for name in ("job", "task_id", "schedule", "key"):
        path = path.replace(f"{{{name}}}", str(uuid4()))
    path = path.replace("{blob}", "nobody-has-it").replace("{number}", "1")
    return path.replace("{lane}", "echo").replace("{tenant}", "red").replace("{conversation}", "x")


async def test_who_may_look_watches_over_a_socket_and_cancels_nothing(
    server: Any, submitted: str, backstage: Any, keyed: Any
) -> None:
    await backstage.start(submitted)
    headers = await keyed("read")
    async with connect(f"ws://{server.address}/ws", additional_headers=headers) as socket:
        await socket.send(json.dumps({"subscribe": submitted}))
        first = json.loads(await socket.recv())
        await socket.send(json.dumps({"cancel": submitted}))
        refused = await _first_error(socket)

    assert first["frame"]["type"] == "queued"
    assert (refused["type"].rpartition(":")[2], refused["scope"]) == ("scope-missing", "submit")


async def test_who_may_submit_cancels_over_a_socket(
    server: Any, submitted: str, keyed: Any, live: httpx.AsyncClient
) -> None:
    headers = await keyed("submit")
    async with connect(f"ws://{server.address}/ws", additional_headers=headers) as socket:
        await socket.send(json.dumps({"cancel": submitted}))
        await socket.send(json.dumps({"subscribe": "mark"}))
        assert json.loads(await socket.recv())["job"] == "mark"

    timeline = (await live.get(f"/jobs/{submitted}/timeline", headers=headers)).json()
    assert timeline["cancel_asked_at"] is not None


@pytest.mark.parametrize("path", ["/ws", "/jobs/x/ws"])
async def test_a_socket_is_not_opened_by_a_key_that_may_not_look(
    server: Any, keyed: Any, path: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(
            f"ws://{server.address}{path}", additional_headers=await keyed("worker")
        ):
            pass

    assert refused.value.response.status_code == 403


async def test_a_ticket_is_for_watching_whatever_its_key_may(
    server: Any, live: httpx.AsyncClient, submitted: str, keyed: Any
) -> None:
    ticket = (await live.post("/tickets", headers=await keyed("submit"))).json()["ticket"]
    async with connect(f"ws://{server.address}/ws?ticket={ticket}") as socket:
        await socket.send(json.dumps({"cancel": submitted}))
        refused = await _first_error(socket)

    assert refused["type"].endswith(":read-only")


async def test_a_key_of_the_store_sees_its_tenant_alone(
    http: httpx.AsyncClient, submitted: str, keyed: Any
) -> None:
    of_blue = await keyed("submit", tenant="blue")

    assert (await http.get(f"/jobs/{submitted}", headers=of_blue)).status_code == 404
    assert (await http.get(f"/jobs/{submitted}", headers=await keyed("read"))).status_code == 200


async def _first_error(socket: Any) -> Any:
    async for message in socket:
        if "error" in (said := json.loads(message)):
            return said["error"]
    raise AssertionError("nothing was refused")
