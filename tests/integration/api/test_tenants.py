"""Whatever id one tenant knows of another's, it is to it as if there were none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from uuid import uuid4  # noqa: TID251  # tests make ids of their own

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.sync.client import connect

from headrace.contracts.ids import TenantId
from headrace.core.run import Run
from headrace.testkit.builders import a_dead_letter, a_run

pytestmark = pytest.mark.real
RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
JOB = {"kind": "text", "input": {"prompt": "of red alone"}}
BATCH = {"kind": "text", "items": [{"input": {"prompt": "of red alone"}}]}
CHAT = "/conversations/lunch/messages"
BEGINS = {"Tus-Resumable": "1.0.0", "Upload-Length": "3"}
KEY = {"Idempotency-Key": "the same key"}
BODIES = {"/jobs/{job}/feedback": {"name": "rating", "value": 1}}  # of routes that need one


@dataclass(frozen=True)
class Belongings:
    """Ids of what tenant red has, by the name that routes have for each."""

    job: str
    schedule: str
    blob: str
    task_id: str
    run: str
    batch: str
    webhook: str
    delivery: str
    deletion: str
    upload: str
    conversation: str = "lunch"


@pytest.fixture
def reds(door: Any, red: httpx.Client) -> Belongings:
    schedule = {"cron": "0 6 * * *", "job": JOB}
    blob = red.post("/blobs", content=b"red", headers={"content-type": "image/png"})
    return Belongings(
        job=red.post("/jobs", json=JOB).json()["id"],
        schedule=red.post("/schedules", json=schedule).json()["id"],
        blob=blob.json()["blob"],
        task_id=red.post(CHAT, json={"content": "of red alone"}).json()["task_id"],
        run=door.do(insert_run(door)).id,
        batch=red.post("/batches", json=BATCH).json()["id"],
        deletion=red.post("/jobs/delete", json={"labels": {"of": "nobody"}}).json()["id"],
        upload=red.post("/uploads", headers=BEGINS).json()["id"],
        **told_of_a_job(red),
    )


async def insert_run(door: Any) -> Run:
    async with door.store.begin() as tx:
        run: Run = await tx.insert_run(a_run(tenant=TenantId("red")))
    return run


def told_of_a_job(red: httpx.Client) -> dict[str, str]:
    """Who is called, and a call: of a job that has ended."""
    hook = red.post("/webhooks", json={"url": "https://receiver.example/hook"}).json()["id"]
    done = {"kind": "text", "model": "a-text", "input": {}}
    job = red.post("/jobs", json=done, headers={"Prefer": "wait=8"}).json()["id"]
    calls = red.get("/webhooks/deliveries", params={"job": job, "webhook": hook}).json()
    return {"webhook": hook, "delivery": calls["deliveries"][0]["id"]}


def routes_with_an_id(http: httpx.Client) -> list[tuple[str, str, str]]:
    """Method, path and the parameter in it; operators' routes are nobody's.

    A conversation's name is no id: each tenant names its own, and the first message makes it. Nor is a
    model's. An id of the horde door is a capability: who knows it may ask, whoever he is.
    """
    paths = http.get("/openapi.json").json()["paths"]
    return [
        (method.upper(), path, path.split("{")[1].split("}")[0])
        for path, operations in paths.items()
        for method in operations
        if "{" in path and not path.startswith(("/admin", "/models", "/v1/models", "/api/v2"))
        if (method, "{conversation}" in path) != ("post", True)
    ]


def test_every_route_answers_another_tenant_as_if_there_were_none(
    red: httpx.Client, blue: httpx.Client, reds: Belongings, figures: list[str]
) -> None:
    before = everything_of(red, reds)
    routes = routes_with_an_id(red)
    for method, path, name in routes:
        said = BODIES.get(path, {})
        body: dict[str, Any] = {"json": said} if method in {"POST", "PATCH", "PUT"} else {}
        theirs = blue.request(method, path.replace(f"{{{name}}}", getattr(reds, name)), **body)
        nobodys = blue.request(method, path.replace(f"{{{name}}}", str(uuid4())), **body)

        assert (theirs.status_code, nobodys.status_code) == (404, 404), (method, path)
        assert shape(theirs) == shape(nobodys), "the answer tells whether there is one"

    assert {name for _, _, name in routes} == {each.name for each in fields(Belongings)}
    assert everything_of(red, reds) == before
    figures.append(f"two tenants: {len(routes)} routes with an id, each 404 for the other")


def shape(answer: httpx.Response) -> dict[str, Any]:
    if answer.request.method == "HEAD":
        return {}
    return {name: value for name, value in answer.json().items() if name != "detail"}


def everything_of(red: httpx.Client, reds: Belongings) -> list[Any]:
    return [
        red.get(f"/jobs/{reds.job}").json(),
        red.get(f"/jobs/{reds.job}/timeline").json(),
        red.get(f"/schedules/{reds.schedule}").json(),
        red.get(f"/blobs/{reds.blob}").content,
        red.get(f"/runs/{reds.run}").json(),
        red.get(f"/batches/{reds.batch}").json(),
        red.get(f"/webhooks/{reds.webhook}").json(),
        red.get(f"/webhooks/deliveries/{reds.delivery}").json(),
        red.get(f"/uploads/{reds.upload}").json(),
    ]


@pytest.mark.parametrize(
    "path", ["/jobs", "/schedules", "/runs", "/batches", "/webhooks", "/webhooks/deliveries"]
)
def test_lists_have_ones_own_alone(blue: httpx.Client, reds: Belongings, path: str) -> None:
    said = blue.get(path, params={"limit": 200}).text

    assert reds.job not in said
    assert reds.schedule not in said
    assert not any(each in said for each in (reds.run, reds.batch, reds.webhook, reds.delivery))


def test_a_cursor_of_another_tenant_leads_to_nothing_of_it(
    red: httpx.Client, blue: httpx.Client, reds: Belongings
) -> None:
    red.post("/jobs", json=JOB)
    cursor = red.get("/jobs", params={"limit": 1}).json()["next"]

    assert reds.job not in blue.get("/jobs", params={"cursor": cursor}).text


def ask_to_cancel(http: httpx.Client, reds: Belongings, headers: dict[str, str]) -> httpx.Response:
    return http.post(f"/jobs/{reds.job}/cancel", headers=headers)


def submit(http: httpx.Client, reds: Belongings, headers: dict[str, str]) -> httpx.Response:
    return http.post("/jobs", json=JOB, headers=headers)


def schedule(http: httpx.Client, reds: Belongings, headers: dict[str, str]) -> httpx.Response:
    return http.post("/schedules", json={"cron": "0 6 * * *", "job": JOB}, headers=headers)


@pytest.mark.parametrize("ask", [submit, schedule])
def test_an_idempotency_key_is_known_to_its_tenant_alone(
    red: httpx.Client, blue: httpx.Client, reds: Belongings, ask: Callable[..., httpx.Response]
) -> None:
    mine, again, theirs = ask(red, reds, KEY), ask(red, reds, KEY), ask(blue, reds, KEY)

    assert again.json()["id"] == mine.json()["id"] != theirs.json()["id"]
    assert "idempotent-replayed" in again.headers
    assert "idempotent-replayed" not in theirs.headers


def test_a_remembered_answer_is_not_told_to_another_tenant(
    red: httpx.Client, blue: httpx.Client, reds: Belongings
) -> None:
    assert ask_to_cancel(red, reds, KEY).is_success

    assert ask_to_cancel(blue, reds, KEY).status_code == 404


def test_operators_routes_are_for_no_tenant(red: httpx.Client, door: Any) -> None:
    async def bury() -> None:
        async with door.store.begin() as tx:
            await tx.bury([a_dead_letter(tenant="red", job=str(uuid4()))])

    door.do(bury())
    paths = red.get("/openapi.json").json()["paths"]
    theirs = {path for path in paths if path.startswith("/admin") and path != "/admin/whoami"}
    for path in theirs:
        for method in paths[path]:
            filled = path.replace("{number}", "1").replace("{lane}", "echo")
            filled = filled.replace("{key}", str(uuid4())).replace("{name}", "digits")
            answer = red.request(method.upper(), filled.replace("{tenant}", "blue"), json={})

            assert answer.status_code == 403, (method, path)
            assert "no-such" not in answer.text


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    verb=st.sampled_from(["subscribe", "unsubscribe", "cancel"]),
    case=st.sampled_from([str.upper, str.lower, str.strip]),
    after=st.none() | st.sampled_from(["0-1", "1-1", "99-99"]),
)
def test_a_socket_of_another_tenant_hears_of_none(
    door: Any,
    red: httpx.Client,
    reds: Belongings,
    verb: str,
    case: Callable[[str], str],
    after: str | None,
) -> None:
    said = {verb: case(reds.job)} | ({"after": after} if after and verb == "subscribe" else {})
    with connect(f"ws://{door.address}/ws", additional_headers=BLUE) as socket:
        socket.send(json.dumps(said))
        socket.send('{"subscribe": "mark"}')
        heard = [json.loads(socket.recv(timeout=5))]
        if heard[0].get("job") != "mark":
            heard.append(json.loads(socket.recv(timeout=5)))

    assert all(each["error"]["status"] == 404 for each in heard)
    assert len(heard) == (1 if verb == "unsubscribe" else 2)
    assert red.get(f"/jobs/{reds.job}/timeline").json()["cancel_asked_at"] is None


def test_a_socket_of_another_tenants_job_is_closed(door: Any, reds: Belongings) -> None:
    url = f"ws://{door.address}/jobs/{reds.job}/ws"
    with connect(url, additional_headers=BLUE) as socket:
        assert json.loads(socket.recv(timeout=5))["error"]["status"] == 404
