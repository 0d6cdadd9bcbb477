"""The door for conversations: messages in, chunks out, and what was said, for its tenant alone."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from headrace.api.deps import ApiDeps
from headrace.api.dialects.conversations.chunks import Chunks
from headrace.contracts.frames import (
    Attempt,
    Entry,
    Frame,
    Progress,
    Reset,
    Started,
    Succeeded,
    Token,
    encode_frame,
    frame_type,
)
from headrace.contracts.ids import START, JobId, Lane, Position
from headrace.contracts.messages import EngineCard
from headrace.contracts.producing import OUTSIDE
from headrace.testkit.apps import create_app

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
CHAT = "/conversations/lunch/messages"
TEXT = EngineCard(
    lane=Lane("writer"),
    kind="text",
    models=["writer-1", "writer-2"],
    input_schema={
        "type": "object",
        "properties": {
            "messages": {"type": "array"},
            "max_tokens": {"type": "integer", "minimum": 1},
        },
        "required": ["messages"],
        "additionalProperties": False,
    },
)


@pytest.fixture
async def http(deps: ApiDeps) -> AsyncGenerator[httpx.AsyncClient]:
    """With somebody to write, and a Redis that producers could reach."""
    async with deps.store.begin() as tx:
        await tx.announce_engines([TEXT])
    app = create_app(replace(deps, outside=True))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://headrace", headers=RED
    ) as client:
        yield client


async def say(http: httpx.AsyncClient, content: str = "what is for lunch?", **more: Any) -> Any:
    answer = await http.post(CHAT, json={"content": content, **more})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def said(http: httpx.AsyncClient, **params: str) -> list[tuple[str, Any]]:
    answer = await http.get(CHAT, params=params)
    assert answer.status_code == 200, answer.text
    return [(each["role"], each["content"]) for each in answer.json()["messages"]]


async def chunks(http: httpx.AsyncClient, task: str, **headers: str) -> list[dict[str, Any]]:
    """Every chunk of a stream that ends, each with its event's id."""
    answer = await http.get(f"/stream/{task}", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for event in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in event.split("\n") if ": " in line)
        if "data" in fields:
            assert fields["event"] == "message", "or EventSource would not hand it to onmessage"
            found.append({"id": fields["id"], **json.loads(fields["data"])})
    return found


async def answered(backstage: Any, task: str, *tokens: str) -> None:
    await backstage.start(task)
    await backstage.say(task, *[Token(token) for token in tokens])
    await backstage.finish(task, {"text": "".join(tokens)})


async def test_a_message_is_a_task_with_its_stream(http: httpx.AsyncClient) -> None:
    answer = await http.post(CHAT, json={"content": "hello"})

    view = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == view["links"]["stream"] == f"/stream/{view['task_id']}"
    assert view["message_id"] != view["task_id"]
    assert (await http.get(view["links"]["job"])).json()["kind"] == "text"


async def test_chunks_are_numbered_from_zero_and_the_last_one_has_it_all(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    task = (await say(http))["task_id"]
    await answered(backstage, task, "so", "up")

    told = await chunks(http, task)

    assert told == [
        {"id": "1-2", "chunk_index": 0, "chunk_type": "text", "content": "so"},
        {"id": "1-3", "chunk_index": 1, "chunk_type": "text", "content": "up"},
        {"id": "2-1", "chunk_index": 2, "chunk_type": "complete", "content": "soup"},
    ]


async def test_who_comes_back_gets_the_rest_with_the_same_numbers(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    task = (await say(http))["task_id"]
    await answered(backstage, task, "a", "b", "c")
    whole = await chunks(http, task)

    for place, chunk in enumerate(whole[:-1]):
        assert await chunks(http, task, **{"Last-Event-ID": chunk["id"]}) == whole[place + 1 :]


async def test_who_has_the_last_chunk_need_not_come_back(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    task = (await say(http))["task_id"]
    await answered(backstage, task, "a")
    last = (await chunks(http, task))[-1]["id"]

    answer = await http.get(f"/stream/{task}", headers={"Last-Event-ID": last})

    assert answer.status_code == 204


async def test_what_was_said_is_there_in_order_and_in_full(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    first = await say(http, "one?")
    await answered(backstage, first["task_id"], "first", " answer")
    second = await say(http, "two?")

    assert await said(http) == [
        ("user", "one?"),
        ("assistant", "first answer"),
        ("user", "two?"),
        ("assistant", None),
    ]
    messages = (await http.get(CHAT)).json()["messages"]
    assert [each["id"] for each in messages][1::2] == [first["message_id"], second["message_id"]]
    assert [each["state"] for each in messages][1::2] == ["succeeded", "queued"]


async def test_an_answer_that_failed_says_why(http: httpx.AsyncClient, backstage: Any) -> None:
    task = (await say(http))["task_id"]
    await backstage.start(task)
    await backstage.fail(task, {"kind": "internal", "message": "it broke"})

    last = (await chunks(http, task))[-1]
    assert (last["chunk_type"], last["content"]["message"]) == ("failed", "it broke")
    answer = (await http.get(CHAT)).json()["messages"][1]
    assert (answer["content"], answer["error"]["message"]) == (None, "it broke")


async def test_what_was_said_before_goes_with_the_next_message(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    first = await say(http, "my name is Ada")
    await answered(backstage, first["task_id"], "hello Ada")
    second = await say(http, "what is my name?", options={"max_tokens": 7})

    given = (await http.get(second["links"]["job"])).json()["input"]

    assert given == {
        "max_tokens": 7,
        "messages": [
            {"role": "user", "content": "my name is Ada"},
            {"role": "assistant", "content": "hello Ada"},
            {"role": "user", "content": "what is my name?"},
        ],
    }


async def test_no_more_is_remembered_than_there_is_room_for(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    for number in range(6):
        turn = await say(http, f"{number} " + "x" * 2000)
        await answered(backstage, turn["task_id"], "ok")

    last = await say(http, "and now?")

    messages = (await http.get(last["links"]["job"])).json()["input"]["messages"]
    asked = [each["content"][0] for each in messages if each["role"] == "user"]
    assert asked == ["2", "3", "4", "5", "a"]


async def test_a_long_conversation_is_read_page_by_page(http: httpx.AsyncClient) -> None:
    for number in range(52):
        await say(http, str(number))

    page = (await http.get(CHAT)).json()
    earlier = (await http.get(CHAT, params={"before": page["before"]})).json()

    asked = [each["content"] for each in [*earlier["messages"], *page["messages"]]][::2]
    assert asked == [str(number) for number in range(52)]
    assert earlier["before"] is None


async def test_the_same_key_is_the_same_task_in_its_conversation_alone(
    http: httpx.AsyncClient,
) -> None:
    body, key = {"content": "once"}, {"Idempotency-Key": "only-once"}

    one = await http.post(CHAT, json=body, headers=key)
    again = await http.post(CHAT, json=body, headers=key)
    elsewhere = await http.post("/conversations/dinner/messages", json=body, headers=key)

    assert one.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert elsewhere.status_code == 422


async def test_an_answer_is_stopped_by_whoever_owns_it(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    task = (await say(http))["task_id"]

    asked = await http.post(f"/stream/{task}/stop")
    await backstage.cancel(task)
    over = await http.post(f"/stream/{task}/stop")

    assert (asked.status_code, over.status_code) == (202, 200)
    assert over.json() == {"task_id": task, "state": "cancelled"}
    assert [each["chunk_type"] for each in await chunks(http, task)] == ["cancelled"]


async def test_a_task_for_a_producer_outside_waits_in_a_lane_of_its_own(
    http: httpx.AsyncClient, deps: ApiDeps
) -> None:
    task = await say(http, producer="outside", options={"anything": 1}, timeout=60.0)

    async with deps.store.begin() as tx:
        (job,) = await tx.outside("local", after=JobId(""), limit=10)
    assert (job.id, job.lane, job.spec.timeout_s) == (task["task_id"], OUTSIDE, 60.0)
    why = (await http.get(f"/jobs/{job.id}/explain")).json()
    assert why["rule"] == "no_producer"


async def test_where_no_producer_could_write_none_is_waited_for(
    deps: ApiDeps, http: httpx.AsyncClient
) -> None:
    transport = httpx.ASGITransport(create_app(deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as alone:
        answer = await alone.post(CHAT, json={"content": "a", "producer": "outside"}, headers=RED)

    assert answer.status_code == 422
    assert answer.json()["pointer"] == "/producer"
    assert (await http.get(CHAT)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({}, 422, "/content"),
        ({"content": ""}, 422, "/content"),
        ({"content": "a", "nonsense": 1}, 422, "/nonsense"),
        ({"content": "a", "producer": "nobody"}, 422, "/producer"),
        ({"content": "a", "options": {"max_tokens": 0}}, 422, "/options/max_tokens"),
        ({"content": "a", "options": {"messages": []}}, 422, "/options"),
        ({"content": "a", "model": "unheard-of"}, 422, "/model"),
        ({"content": "a\0b"}, 400, None),
        ({"content": "x" * 5000}, 413, None),
    ],
)
async def test_what_does_not_fit_is_refused_at_the_door(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, where: str | None
) -> None:
    answer = await http.post(CHAT, json=body)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().get("pointer") == where
    assert (await http.get(CHAT)).status_code == 404, "nothing is kept"


@pytest.mark.parametrize("name", ["a%20b", "x" * 65, "%C3%A4"])
async def test_a_conversation_has_a_plain_name(http: httpx.AsyncClient, name: str) -> None:
    answer = await http.post(f"/conversations/{name}/messages", json={"content": "a"})

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_another_tenant_sees_nothing_of_it(http: httpx.AsyncClient) -> None:
    task = (await say(http))["task_id"]

    for method, path in (
        ("GET", CHAT),
        ("GET", f"/stream/{task}"),
        ("POST", f"/stream/{task}/stop"),
        ("GET", f"{CHAT}?before={task}"),
    ):
        answer = await http.request(method, path, headers=BLUE)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await http.get(f"/jobs/{task}")).json()["state"] == "queued"


async def test_a_ticket_opens_the_stream_of_its_task(
    http: httpx.AsyncClient, backstage: Any
) -> None:
    task = (await say(http))["task_id"]
    await answered(backstage, task, "a")
    ticket = (await http.post("/tickets", params={"job": task})).json()["ticket"]
    del http.headers["apikey"]

    first = await http.get(f"/stream/{task}", params={"ticket": ticket})
    second = await http.get(f"/stream/{task}", params={"ticket": ticket})

    assert '"complete"' in first.text
    assert second.status_code == 401


def entry(at: str, frame: Frame) -> Entry:
    return Entry(Position.parse(at), frame_type(frame), encode_frame(frame))


def shown(after: Position, *entries: Entry) -> list[tuple[str, int, str]]:
    told = [(each, json.loads(each.data)) for each in Chunks(after).of(entries)]
    return [(str(each.position), it["chunk_index"], it["chunk_type"]) for each, it in told]


SECOND_TRY = (
    entry("1-1", Started("w", 1)),
    entry("1-2", Token("a")),
    entry("1-3", Progress(fraction=0.5)),
    entry("2-1", Attempt(2)),
    entry("3-1", Started("w", 2)),
    entry("3-2", Token("a")),
    entry("4-1", Succeeded({"text": "a"})),
)


def test_another_attempt_says_that_it_begins_anew_and_counts_from_zero() -> None:
    assert shown(START, *SECOND_TRY) == [
        ("1-2", 0, "text"),
        ("1-3", 1, "progress"),
        ("2-1", 0, "restart"),
        ("3-2", 0, "text"),
        ("4-1", 1, "complete"),
    ]


@pytest.mark.parametrize("place", range(len(SECOND_TRY)))
def test_wherever_one_comes_back_the_rest_is_the_same(place: int) -> None:
    after = SECOND_TRY[place].position
    rest = [each for each in shown(START, *SECOND_TRY) if Position.parse(each[0]) > after]

    assert shown(after, *SECOND_TRY[place + 1 :]) == rest


def test_a_gap_is_said_and_the_numbers_show_how_much_is_missing() -> None:
    told = shown(START, entry("1-7", Reset(snapshot={})), entry("1-8", Token("late")))

    assert told == [("1-7", 6, "reset"), ("1-8", 6, "text")]


async def test_a_conversation_of_the_same_name_is_another_tenants_own(
    http: httpx.AsyncClient,
) -> None:
    await say(http, "of red alone")
    theirs = await http.post(CHAT, json={"content": "of blue alone"}, headers=BLUE)

    given = (await http.get(theirs.json()["links"]["job"], headers=BLUE)).json()["input"]
    assert given["messages"] == [{"role": "user", "content": "of blue alone"}]
    assert await said(http) == [("user", "of red alone"), ("assistant", None)]
