"""`/batches`: handed in three ways, shown, read while they run, followed and cancelled, by their owner alone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import Any

import httpx
import msgspec
import pytest
from httpx_sse import aconnect_sse

from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.api.deps import ApiDeps
from headrace.api.dialects.native.schemas_batches import BatchView
from headrace.contracts.ids import BatchId, JobId
from headrace.contracts.messages import JobError
from headrace.core.batch import job_of_item
from headrace.core.inputs import check_input
from headrace.core.ports.store import Store
from headrace.core.ports.webhooks import CallQuery
from headrace.core.usecases.admit import Admission, Caps
from headrace.core.usecases.batches import stop_batches
from headrace.core.usecases.expand import Expansion, Sources, expand
from headrace.testkit.apps import create_app
from headrace.testkit.runs_at_the_door import BLUE, NOBODYS, RED, Crew

ITEMS = [{"custom_id": f"row-{n}", "input": {"text": "a"}} for n in range(4)]
LINES = "\n".join(json.dumps(each) for each in ITEMS)
JSONL = {"Content-Type": "application/jsonl", **RED}


@dataclass(frozen=True)
class Hands:
    """Begin items, as a dispatcher does, and do their jobs."""

    deps: ApiDeps
    crew: Crew

    async def begin(self, limit: int = 100) -> None:
        how = Expansion(check=check_input, admission=Admission(Caps()))
        sources = Sources(self.deps.blobs)
        await expand(self.deps.store, sources, how, path="local", limit=limit)

    async def do(self, batch: Any, *places: int, **fields: Any) -> None:
        for place in places:
            await self.crew.do(job_of_item(BatchId(batch["id"]), place), **fields)

    async def stop(self) -> None:
        await stop_batches(self.deps.store, path="local", limit=100)
        await self.crew.stop()


@pytest.fixture
def hands(deps: ApiDeps, store: Store, streams: InProcessStreams) -> Hands:
    return Hands(deps, Crew(store, streams))


async def hand_in(http: httpx.AsyncClient, **fields: Any) -> Any:
    answer = await http.post(
        "/batches", json={"kind": "echo", "items": ITEMS, **fields}, headers=RED
    )
    assert answer.status_code == 202, answer.text
    return answer.json()


async def shown(http: httpx.AsyncClient, batch: Any) -> Any:
    return (await http.get(f"/batches/{batch['id']}", headers=RED)).raise_for_status().json()


async def results(http: httpx.AsyncClient, batch: Any, **asked: Any) -> list[Any]:
    at = f"/batches/{batch['id']}/results"
    answer = await http.get(at, params=asked, headers=RED)
    assert answer.headers["content-type"].startswith("application/jsonl")
    return [json.loads(line) for line in answer.raise_for_status().text.splitlines() if line]


async def test_a_batch_is_deleted_with_its_jobs_and_none_of_these_alone(
    http: httpx.AsyncClient, hands: Hands
) -> None:
    batch = await hand_in(http)
    await hands.begin()
    job = job_of_item(BatchId(batch["id"]), 0)
    running = await http.delete(f"/batches/{batch['id']}", headers=RED)
    await hands.do(batch, 0, 1, 2, 3)
    alone = await http.delete(f"/jobs/{job}", headers=RED)

    deleted = await http.delete(f"/batches/{batch['id']}", headers=RED)
    again = await http.delete(f"/batches/{batch['id']}", headers=RED)

    assert (running.status_code, running.json()["type"]) == (409, "urn:headrace:problem:not-over")
    assert alone.json()["type"] == "urn:headrace:problem:job-of-batch"
    assert (alone.status_code, alone.json()["batch"]) == (409, batch["id"])
    receipt = deleted.json()
    assert (deleted.status_code, receipt["state"], receipt["left"]) == (200, "done", 0)
    assert (receipt["subject"], receipt["removed"]["items"]) == (f"batch {batch['id']}", 4)
    assert (receipt["removed"]["jobs"], receipt["removed"]["blobs"]) == (4, 1)
    assert again.json() == receipt
    assert (await http.get(f"/batches/{batch['id']}", headers=RED)).status_code == 404
    assert (await http.get(f"/jobs/{job}", headers=RED)).status_code == 404


async def test_a_batch_is_handed_in_and_shown(http: httpx.AsyncClient) -> None:
    batch = await hand_in(http, model="echo-2", priority=3, labels={"who": "me"}, timeout=9)

    assert (batch["state"], batch["total"], batch["progress"]) == ("running", 4, 0.0)
    assert batch["counts"]["waiting"] == 4
    assert (batch["model"], batch["priority"], batch["timeout"]) == ("echo-2", 3, 9.0)
    assert batch["labels"] == {"who": "me"}
    assert await shown(http, batch) == batch
    listed = (await http.get("/batches", headers=RED)).json()
    assert (listed["batches"], listed["next"]) == ([batch], None)


async def test_json_lines_are_handed_in_as_they_are(http: httpx.AsyncClient, hands: Hands) -> None:
    asked = {"kind": "echo", "priority": "2", "label": ["a:b", "c:d:e"]}

    answer = await http.post("/batches", params=asked, content=LINES, headers=JSONL)
    batch = answer.json()
    await hands.begin()

    assert answer.status_code == 202
    assert (batch["total"], batch["priority"]) == (4, 2)
    assert batch["labels"] == {"a": "b", "c": "d:e"}
    await hands.do(batch, 2)
    assert [each["custom_id"] for each in await results(http, batch)] == ["row-2"]


async def test_lines_that_were_uploaded_are_handed_in_by_their_blob(
    http: httpx.AsyncClient,
) -> None:
    blob = (await http.post("/blobs", content=LINES, headers=JSONL)).json()["blob"]

    batch = await hand_in(http, items=None, blob=blob)
    theirs = await http.post("/batches", json={"kind": "echo", "blob": blob}, headers=BLUE)

    assert batch["total"] == 4
    assert (theirs.status_code, theirs.json()["pointer"]) == (422, "/blob")


async def test_the_same_key_makes_one_batch_and_keeps_its_lines_once(
    http: httpx.AsyncClient, deps: ApiDeps
) -> None:
    key = {"Idempotency-Key": "k", **JSONL}
    kind = {"kind": "echo"}

    one, again, other = [
        await http.post("/batches", params=kind, content=content, headers=key)
        for content in (LINES, LINES, LINES + "\n{}")
    ]

    assert one.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["type"][-20:]) == (422, "idempotency-conflict")
    page = await deps.blobs.page(after="", limit=10)
    assert len(page.blobs) == 1


@pytest.mark.parametrize(
    ("asked", "status", "what"),
    [
        ({"json": {"kind": "echo", "items": []}}, 422, "empty-batch"),
        ({"json": {"kind": "echo"}}, 422, "/items"),
        ({"json": {"kind": "echo", "items": [{}], "blob": "b"}}, 422, "/items"),
        ({"json": {"kind": "video", "items": [{}]}}, 422, "unknown-model"),
        ({"json": {"kind": "echo", "model": "huge", "items": [{}]}}, 422, "unknown-model"),
        ({"json": {"kind": "echo", "items": [{}], "labels": {"a b": "c"}}}, 422, "/labels/a b"),
        ({"json": {"kind": "echo", "items": [{}]}, "params": {"kind": "echo"}}, 422, "kind"),
        ({"content": b'{"kind": "echo", "items": [NaN]}'}, 400, "malformed"),
        ({"content": b"[" * 100_000}, 400, "malformed"),
        ({"content": b'{"kind": "echo", "items": [{}], "labels": {"a": "\\u0000"}}'}, 400, "NUL"),
        ({"content": LINES, "headers": JSONL}, 422, "kind"),
        ({"content": "\n \n", "headers": JSONL, "params": {"kind": "echo"}}, 422, "empty-batch"),
        ({"content": "x" * 9000, "headers": JSONL, "params": {"kind": "echo"}}, 413, "too-large"),
        ({"content": LINES, "headers": {"Content-Type": "text/csv"}}, 415, "jsonl"),
        ({"content": LINES, "headers": JSONL, "params": {"kind": "echo", "x": "1"}}, 422, "x"),
    ],
)
async def test_what_is_no_batch_is_refused_at_the_door(
    http: httpx.AsyncClient, deps: ApiDeps, asked: dict[str, Any], status: int, what: str
) -> None:
    json_ = {"Content-Type": "application/json"} if "content" in asked else {}

    answer = await http.post(
        "/batches", **{**asked, "headers": {**json_, **asked.get("headers", {}), **RED}}
    )

    assert answer.status_code == status, answer.text
    assert what in answer.text
    assert (await deps.blobs.page(after="", limit=10)).blobs == []


async def test_a_bad_item_fails_alone(http: httpx.AsyncClient, hands: Hands) -> None:
    bad = [{"input": {"text": 7}, "custom_id": "seven"}, {"input": {"text": "\0"}}, 3]
    batch = await hand_in(http, items=[*ITEMS, *bad])

    await hands.begin()
    await hands.do(batch, 0, 1, 2, output={"text": "done"})
    await hands.do(batch, 3, outcome="failed", error=JobError(kind="input", message="no"))

    over = await shown(http, batch)
    wrong = await results(http, batch, errors=True)
    assert [(each["item"], each["state"]) for each in wrong] == [
        *((place, "rejected") for place in (4, 5, 6)),
        (3, "failed"),
    ]
    assert wrong[0]["custom_id"] == "seven"
    assert "is not of type 'string'" in wrong[0]["error"]["message"]
    assert "NUL" in wrong[1]["error"]["message"]
    assert over["state"] == "ended"
    assert over["counts"] == {
        "waiting": 0,
        "running": 0,
        "cancelled": 0,
        "dead": 0,
        "succeeded": 3,
        "failed": 1,
        "rejected": 3,
    }


async def test_results_are_read_while_it_runs_from_where_one_was(
    http: httpx.AsyncClient, hands: Hands
) -> None:
    batch = await hand_in(http)
    await hands.begin(limit=3)
    await hands.do(batch, 1, output={"text": "one"})

    early = await results(http, batch)
    await hands.do(batch, 0, 2)
    await hands.begin()
    await hands.do(batch, 3)
    rest = await results(http, batch, after=early[-1]["cursor"])

    assert [(each["item"], each["result"]) for each in early] == [(1, {"text": "one"})]
    assert [each["item"] for each in rest] == [0, 2, 3]
    assert await results(http, batch) == early + rest
    assert (await shown(http, batch))["state"] == "ended"


async def test_results_longer_than_a_page_come_whole(http: httpx.AsyncClient, hands: Hands) -> None:
    batch = await hand_in(http, items=[3] * 450)
    await hands.begin(limit=450)

    assert [each["item"] for each in await results(http, batch)] == list(range(450))
    some = await results(http, batch, limit=230, after=10)
    assert [each["item"] for each in some] == list(range(10, 240))


async def test_who_follows_gets_each_result_as_it_comes_and_leaves_with_the_last(
    live: httpx.AsyncClient, hands: Hands
) -> None:
    batch = await hand_in(live)
    await hands.begin()
    await hands.do(batch, 0)
    seen: list[Any] = []
    at, asked = f"/batches/{batch['id']}/results", {"follow": "true"}

    async with asyncio.timeout(20), live.stream("GET", at, params=asked, headers=RED) as answer:
        async for line in answer.aiter_lines():
            if line:
                seen.append(json.loads(line)["item"])
                await hands.do(batch, *{0: [2], 2: [1, 3]}.get(seen[-1], []))

    assert seen == [0, 2, 1, 3]


async def test_a_follower_is_let_go_after_a_while(
    store: Store, deps: ApiDeps, hands: Hands
) -> None:
    app = create_app(replace(deps, limits=replace(deps.limits, follow_s=0.1)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as http:
        batch = await hand_in(http)

        async with asyncio.timeout(10):
            assert await results(http, batch, follow=True) == []


async def test_how_it_stands_is_told_as_it_changes(live: httpx.AsyncClient, hands: Hands) -> None:
    batch = await hand_in(live)
    at, told = f"/batches/{batch['id']}/events", []

    async with (
        asyncio.timeout(20),
        aconnect_sse(live, "GET", at, headers=RED) as source,
    ):
        async for event in source.aiter_sse():
            assert event.event == "batch"
            told.append(json.loads(event.data))
            if len(told) == 1:
                await hands.begin()
                await hands.do(batch, 0, 1, 2, 3)

    assert told[0] == batch
    assert (told[-1]["state"], told[-1]["progress"]) == ("ended", 1.0)


async def test_a_ticket_reads_and_watches(http: httpx.AsyncClient, hands: Hands) -> None:
    batch = await hand_in(http, items=[3])
    await hands.begin()

    for part in ("results", "events"):
        ticket = (await http.post("/tickets", headers=RED)).json()["ticket"]
        answer = await http.get(f"/batches/{batch['id']}/{part}", params={"ticket": ticket})
        assert "rejected" in answer.raise_for_status().text


async def test_what_is_left_is_cancelled(http: httpx.AsyncClient, hands: Hands) -> None:
    batch = await hand_in(http)
    await hands.begin(limit=2)
    await hands.do(batch, 0)

    asked = await http.post(f"/batches/{batch['id']}/cancel", headers=RED)
    await hands.stop()
    await hands.begin()
    again = await http.post(f"/batches/{batch['id']}/cancel", headers=RED)

    assert (asked.status_code, asked.json()["state"]) == (202, "cancelling")
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")
    assert (again.json()["counts"]["cancelled"], again.json()["counts"]["succeeded"]) == (3, 1)


async def test_a_webhook_tells_of_its_end_what_the_door_shows(
    http: httpx.AsyncClient, hands: Hands, store: Store
) -> None:
    hook = {"url": "https://receiver.example/hook", "events": ["batch.ended"]}
    assert (await http.post("/webhooks", json=hook, headers=RED)).status_code == 201
    batch = await hand_in(http, labels={"a": "b"}, timeout=7)
    await hands.begin()
    await hands.do(batch, 0, 1, 2, 3)

    calls = (
        await http.get("/webhooks/deliveries", params={"job": batch["id"]}, headers=RED)
    ).json()
    async with store.begin() as tx:
        (call,) = await tx.calls(CallQuery(job=JobId(batch["id"])))

    assert [each["type"] for each in calls["deliveries"]] == ["batch.ended"]
    assert BatchView.model_validate_json(msgspec.json.encode(json.loads(call.body)["data"])) == (
        BatchView.model_validate(await shown(http, batch))
    )


async def test_an_operator_sees_everybodys_batches(deps: ApiDeps) -> None:
    app = create_app(replace(deps, admin_key="key-of-operators"))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as http:
        made = [await hand_in(http) for _ in range(2)]
        at, key = "/admin/batches", {"apikey": "key-of-operators"}

        first = (await http.get(at, params={"limit": 1}, headers=key)).json()
        rest = (await http.get(at, params={"cursor": first["next"]}, headers=key)).json()
        blues = (await http.get(at, params={"tenant": "blue"}, headers=key)).json()

    found = [*first["batches"], *rest["batches"]]
    assert sorted(each["id"] for each in found) == sorted(each["id"] for each in made)
    assert {each["tenant"] for each in found} == {"red"}
    assert (rest["next"], blues["batches"]) == (None, [])


async def test_a_job_has_no_end_of_a_batch_to_tell(http: httpx.AsyncClient) -> None:
    webhook = {"url": "https://receiver.example/hook", "events": ["batch.ended"]}
    asked = {"kind": "echo", "input": {"text": "a"}, "webhook": webhook}

    answer = await http.post("/jobs", json=asked, headers=RED)

    assert (answer.status_code, answer.json()["pointer"]) == (422, "/webhook/events")


async def test_another_tenants_batch_is_as_none(http: httpx.AsyncClient) -> None:
    batch = await hand_in(http)
    for method, part in (("GET", ""), ("GET", "/results"), ("GET", "/events"), ("POST", "/cancel")):
        theirs = await http.request(method, f"/batches/{batch['id']}{part}", headers=BLUE)
        nobodys = await http.request(method, f"/batches/{NOBODYS}{part}", headers=BLUE)
        no_id = await http.request(method, f"/batches/x{part}", headers=BLUE)

        assert [each.status_code for each in (theirs, nobodys, no_id)] == [404] * 3
    assert (await http.get("/batches", headers=BLUE)).json()["batches"] == []
    assert (await shown(http, batch))["state"] == "running"


async def test_lines_are_deleted_that_nothing_came_of(
    http: httpx.AsyncClient, deps: ApiDeps
) -> None:
    answer = await http.post("/batches", params={"kind": "no"}, content=LINES, headers=JSONL)

    assert answer.status_code == 422
    assert (await deps.blobs.page(after="", limit=10)).blobs == []
