"""OpenAI's API: each route, what it refuses and how, and what becomes of work that is left."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest
from starlette.middleware import Middleware

from headrace.api.app import create_app
from headrace.api.deps import ApiDeps
from headrace.api.gateways.race import race
from headrace.api.guards import Failures, OwnNameOnly
from headrace.api.refusing import said
from headrace.contracts.frames import Token
from headrace.contracts.ids import JobId, Lane, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.errors import Unavailable
from headrace.core.ports.blobs import Blob
from headrace.core.ports.store import Query, Store
from headrace.core.usecases.admit import Admission, Caps
from headrace.testkit.background import served
from headrace.testkit.waits import eventually

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}
CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
IMAGES = "/v1/images/generations"
HELLO = [{"role": "user", "content": "hello"}]
USAGE = {"prompt_tokens": 3, "completion_tokens": 2}
SOUP = {"text": "soup", "finish_reason": "stop", "usage": USAGE}
TALL = {"model": "tall/er", "messages": HELLO}
A_NUMBER = {"type": "integer", "minimum": 1, "maximum": 100}
WRITER = EngineCard(
    lane=Lane("writer"),
    kind="text",
    models=["tall/er", "small"],
    input_schema={
        "type": "object",
        "properties": {
            "messages": {"type": "array"},
            "prompt": {"type": "string"},
            "raw": {"type": "boolean"},
            "max_tokens": {"anyOf": [A_NUMBER, {"type": "null"}]},
            "temperature": {"type": "number"},
            "seed": {"type": "integer"},
            "stop": {"type": "array"},
        },
        "additionalProperties": False,
    },
)
BASIC = EngineCard(
    lane=Lane("basic"),
    kind="text",
    models=["basic"],
    input_schema={
        "type": "object",
        "properties": {"messages": {"type": "array"}},
        "additionalProperties": False,
    },
)
READER = EngineCard(
    lane=Lane("reader"),
    kind="embedding",
    models=["reader"],
    input_schema={
        "type": "object",
        "properties": {"texts": {"type": "array", "maxItems": 2}},
        "additionalProperties": False,
    },
)
PAINTER = EngineCard(
    lane=Lane("painter"),
    kind="image",
    models=["painter"],
    input_schema={
        "type": "object",
        "properties": {"prompt": {"type": "string"}, "size": {"enum": ["native", 128, 256]}},
        "additionalProperties": False,
    },
)


@pytest.fixture
def asked() -> asyncio.Queue[Any]:
    """Jobs that were submitted, for who does them."""
    return asyncio.Queue()


@pytest.fixture
def deps(deps: ApiDeps, asked: asyncio.Queue[Any]) -> ApiDeps:
    return replace(
        deps,
        limits=replace(deps.limits, answer_s=5.0),
        on_submitted=lambda submitted: (
            None if submitted.replayed else asked.put_nowait(submitted.job)
        ),
    )


@pytest.fixture
async def http(deps: ApiDeps) -> AsyncGenerator[httpx.AsyncClient]:
    async with deps.store.begin() as tx:
        await tx.announce_engines([WRITER, BASIC, READER, PAINTER])
    async with client_of(deps) as client:
        yield client


def client_of(deps: ApiDeps) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(deps), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://headrace", headers=RED)


async def jobs_of(store: Store, tenant: str = "red") -> list[Any]:
    """In the order in which they were asked for."""
    async with store.begin() as tx:
        found = await tx.page(TenantId(tenant), Query(limit=100))
    return sorted(found, key=lambda job: job.spec.input.get("seed", 0))


class Worker:
    """Ends every job that comes, as `make` says by its input."""

    def __init__(
        self, asked: asyncio.Queue[Any], backstage: Any, make: Callable[[Any], Any]
    ) -> None:
        self._asked, self._backstage, self._make = asked, backstage, make

    async def work(self, stop: asyncio.Event) -> None:
        await race(self._work(), stop.wait())

    async def _work(self) -> None:
        while True:
            await self._do(await self._asked.get())

    async def _do(self, job: Any) -> None:
        made = self._make(job.spec.input)
        await self._backstage.start(job.id)
        if "error" in made:
            await self._backstage.fail(job.id, made["error"])
            return
        for word in made.get("text", "").split("|"):
            await self._backstage.say(job.id, Token(word))
        output = {**made, **({"text": made["text"].replace("|", "")} if "text" in made else {})}
        await self._backstage.finish(job.id, output)


@pytest.fixture
async def working(
    asked: asyncio.Queue[Any], backstage: Any, request: pytest.FixtureRequest
) -> AsyncGenerator[None]:
    """Parametrized by what it makes of an input."""
    async with served(Worker(asked, backstage, request.param).work):
        yield


def soup(given: Any) -> Any:
    return {**SOUP, "text": "so|up"}


def chunks_of(answer: httpx.Response) -> list[Any]:
    """Each event's data."""
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    found = []
    for block in answer.text.split("\n\n"):
        for line in block.split("\n"):
            if line.startswith("data: "):
                data = line.removeprefix("data: ")
                found.append(data if data == "[DONE]" else json.loads(data))
    return found


def error_of(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return answer.status_code, error["code"], error["param"]


@pytest.mark.parametrize("working", [soup], indirect=True)
async def test_a_chat_is_answered(http: httpx.AsyncClient, store: Store, working: None) -> None:
    answer = await http.post(CHAT, json={**TALL, "max_completion_tokens": 9, "stop": "x"})

    (job,) = await jobs_of(store)
    assert answer.status_code == 200
    assert answer.headers["x-headrace-job"] == job.id
    assert answer.json() == {
        "id": f"chatcmpl-{job.id}",
        "object": "chat.completion",
        "created": int(job.created_at.timestamp()),
        "model": "tall/er",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant", "content": "soup", "refusal": None, "tool_calls": None,
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }  # fmt: skip
    assert job.spec.input == {
        "messages": HELLO, "max_tokens": 9, "stop": ["x"], "seed": job.spec.input["seed"],
    }  # fmt: skip


@pytest.mark.parametrize("working", [soup], indirect=True)
async def test_a_chat_in_pieces_says_the_same(http: httpx.AsyncClient, working: None) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}

    *told, counted, done = chunks_of(await http.post(CHAT, json={**TALL, **options}))

    choices = [each["choices"][0] for each in told]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(each["delta"].get("content", "") for each in choices) == "soup"
    assert [each["finish_reason"] for each in choices] == [None, None, None, "stop"]
    assert all(each["usage"] is None for each in told)
    assert (counted["choices"], counted["usage"]["total_tokens"], done) == ([], 5, "[DONE]")


@pytest.mark.parametrize("working", [soup], indirect=True)
async def test_choices_are_jobs_with_seeds_that_follow_each_other(
    http: httpx.AsyncClient, store: Store, working: None
) -> None:
    answer = await http.post(CHAT, json={**TALL, "n": 3, "seed": 2**32 - 2})

    jobs = await jobs_of(store)
    view = answer.json()
    assert [each["index"] for each in view["choices"]] == [0, 1, 2]
    assert [job.spec.input["seed"] for job in jobs] == [0, 1, 2**32 - 2]
    assert set(answer.headers["x-headrace-job"].split(", ")) == {job.id for job in jobs}
    assert view["usage"] == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}


@pytest.mark.parametrize("working", [soup], indirect=True)
async def test_a_completion_goes_on_from_each_prompt(
    http: httpx.AsyncClient, store: Store, working: None
) -> None:
    asked = {"model": "small", "prompt": ["one", "two"], "n": 2}

    view = (await http.post(COMPLETIONS, json=asked)).json()
    streamed = chunks_of(await http.post(COMPLETIONS, json={**asked, "stream": True}))

    assert [each["text"] for each in view["choices"]] == ["soup"] * 4
    assert view["usage"] == {"prompt_tokens": 6, "completion_tokens": 8, "total_tokens": 14}
    texts = ["", "", "", ""]
    for each in streamed[:-1]:
        texts[each["choices"][0]["index"]] += each["choices"][0]["text"]
    assert texts == ["soup"] * 4
    inputs = [job.spec.input for job in await jobs_of(store)]
    assert all(each["raw"] and each["max_tokens"] is None for each in inputs)


def one_number(given: Any) -> Any:
    vectors = [[float(len(text)), 0.5] for text in given["texts"]]
    return {"embeddings": vectors, "usage": {"prompt_tokens": len(vectors)}}


@pytest.mark.parametrize("working", [one_number], indirect=True)
async def test_texts_become_vectors_in_their_order_over_several_jobs(
    http: httpx.AsyncClient, working: None
) -> None:
    asked = {"model": "reader", "input": ["a", "bb", "ccc", "dddd", "eeeee"]}

    plain = (await http.post(EMBEDDINGS, json=asked)).json()
    packed = (await http.post(EMBEDDINGS, json={**asked, "encoding_format": "base64"})).json()

    assert [each["embedding"] for each in plain["data"]] == [[n, 0.5] for n in range(1, 6)]
    assert [each["index"] for each in packed["data"]] == list(range(5))
    unpacked = [
        struct.unpack("<2f", base64.b64decode(each["embedding"])) for each in packed["data"]
    ]
    assert unpacked == [(n, 0.5) for n in range(1, 6)]
    assert plain["usage"] == {"prompt_tokens": 5, "total_tokens": 5}


@pytest.fixture
async def painting(
    deps: ApiDeps, asked: asyncio.Queue[Any], backstage: Any
) -> AsyncGenerator[None]:
    blob = await deps.blobs.put(TenantId("red"), Blob("image/png", b"\x89PNG of an apple"))
    async with served(Worker(asked, backstage, lambda _: {"image": {"blob": blob}}).work):
        yield


async def drawn(http: httpx.AsyncClient, **more: Any) -> Any:
    answer = await http.post(IMAGES, json={"model": "painter", "prompt": "apple", **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_pictures_come_as_base64(
    http: httpx.AsyncClient, store: Store, painting: None
) -> None:
    pictures = await drawn(http, n=2, size="128x128", response_format="b64_json")

    assert [base64.b64decode(each["b64_json"]) for each in pictures] == [b"\x89PNG of an apple"] * 2
    assert [job.spec.input["size"] for job in await jobs_of(store)] == [128, 128]


async def test_a_picture_is_fetched_by_its_link_without_a_key(
    deps: ApiDeps, http: httpx.AsyncClient, painting: None
) -> None:
    ((url,),) = (each.values() for each in await drawn(http))
    locked = replace(deps, auth=type(deps.auth)({"red": "key-of-red"}, anonymous=None))

    async with client_of(locked) as client:
        client.headers.pop("apikey")
        fetched = await client.get(url)
        without = await client.get(url.partition("?")[0])
        forged = await client.get(url[:-3] + "abc")
        another = await client.get(url.replace("/blobs/", "/blobs/0"))

    assert fetched.content == b"\x89PNG of an apple"
    assert [each.status_code for each in (without, forged, another)] == [401, 401, 401]


async def test_models_are_those_that_this_door_has_a_route_for(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/v1/models")).json()
    one = (await http.get("/v1/models/tall/er")).json()

    assert [each["id"] for each in listed["data"]] == [
        "basic", "painter", "reader", "small", "tall/er",
    ]  # fmt: skip
    assert one == {
        "id": "tall/er", "object": "model", "created": 0, "owned_by": "headrace", "kind": "text",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "asked", "expected"),
    [
        (CHAT, {"model": "none", "messages": HELLO}, (404, "model_not_found", "model")),
        (CHAT, {"model": "reader", "messages": HELLO}, (404, "model_not_found", "model")),
        (CHAT, {"model": "small"}, (400, "missing_required_parameter", "messages")),
        (CHAT, {**TALL, "n": 0}, (400, "invalid_value", "n")),
        (CHAT, {**TALL, "n": "two"}, (400, "invalid_value", "n")),
        (CHAT, {**TALL, "cook": 1}, (400, "unknown_parameter", "cook")),
        (CHAT, {**TALL, "logprobs": True}, (400, "unsupported_parameter", "logprobs")),
        (CHAT, {**TALL, "logit_bias": {"5": 9}}, (400, "unsupported_parameter", "logit_bias")),
        (CHAT, {**TALL, "temperature": 9}, (400, "invalid_value", "temperature")),
        (CHAT, {**TALL, "max_completion_tokens": 101}, (400, "invalid_value", "max_completion_tokens")),
        (CHAT, {**TALL, "max_tokens": 101}, (400, "invalid_value", "max_tokens")),
        (CHAT, {**TALL, "tools": [{"type": "function"}]}, (400, "unsupported_parameter", "tools")),
        (CHAT, {**TALL, "tool_choice": "required"}, (400, "invalid_value", "tool_choice")),
        (
            CHAT,
            {**TALL, "response_format": {"type": "json_object"}},
            (400, "unsupported_parameter", "response_format"),
        ),
        (CHAT, {**TALL, "stream_options": {}}, (400, "invalid_value", None)),
        (
            CHAT,
            {"model": "small", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            (400, "unsupported_parameter", "messages[0].content"),
        ),
        (
            CHAT,
            {"model": "small", "messages": [*HELLO, {"role": "cook", "content": "a"}]},
            (400, "invalid_value", "messages[1].role"),
        ),
        (CHAT, {"model": "basic", "messages": HELLO, "seed": 1}, (400, "unsupported_parameter", "seed")),
        (COMPLETIONS, {"model": "basic", "prompt": "a"}, (400, "unsupported_parameter", "prompt")),
        (COMPLETIONS, {"model": "small", "prompt": [1, 2]}, (400, "unsupported_parameter", "prompt")),
        (COMPLETIONS, {"model": "small", "prompt": "a", "echo": True}, (400, "unsupported_parameter", "echo")),
        (EMBEDDINGS, {"model": "reader", "input": ""}, (400, "invalid_value", "input[0]")),
        (EMBEDDINGS, {"model": "reader", "input": [[1]]}, (400, "unsupported_parameter", "input")),
        (
            EMBEDDINGS,
            {"model": "reader", "input": "a", "dimensions": 3},
            (400, "unsupported_parameter", "dimensions"),
        ),
        (IMAGES, {"model": "painter", "prompt": "a", "size": "9x9"}, (400, "invalid_value", "size")),
        (IMAGES, {"model": "painter", "prompt": "a", "style": "vivid"}, (400, "unsupported_parameter", "style")),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_request_is_said_by_its_place(
    http: httpx.AsyncClient, store: Store, path: str, asked: Any, expected: Any
) -> None:
    answer = await http.post(path, json=asked)

    assert error_of(answer) == expected
    assert await jobs_of(store) == []


async def test_every_refusal_of_this_door_has_its_form(http: httpx.AsyncClient) -> None:
    stranger = {"Authorization": "Bearer nobody"}
    answers = {
        "no route": await http.get("/v1/nothing"),
        "no method": await http.put("/v1/models"),
        "wrong key": await http.get("/v1/models", headers=stranger | {"apikey": "nobody"}),
        "no json": await http.post(
            CHAT, content=b"{", headers={"content-type": "application/json"}
        ),
        "no media type": await http.post(CHAT, content=b"{}"),
        "too large": await http.post(CHAT, json={"model": "a" * 5000}),
        "nul": await http.get("/v1/models/%00"),
        "no model": await http.get("/v1/models/none"),
    }

    assert {name: error_of(answer)[:2] for name, answer in answers.items()} == {
        "no route": (404, "unknown_url"),
        "no method": (405, "method_not_allowed"),
        "wrong key": (401, "invalid_api_key"),
        "no json": (400, "malformed"),
        "no media type": (415, "unsupported_media_type"),
        "too large": (413, "too_large"),
        "nul": (400, "malformed"),
        "no model": (404, "model_not_found"),
    }


class AwayStore:
    def begin(self) -> Any:
        raise Unavailable("the store", "no route to host")


async def test_a_dependency_that_is_away_is_said_in_its_form(deps: ApiDeps) -> None:
    async with client_of(replace(deps, store=cast("Any", AwayStore()))) as client:
        answer = await client.get("/v1/models")

    assert error_of(answer) == (503, "unavailable", None)
    assert "retry-after" in answer.headers


async def test_a_failure_of_ours_is_said_in_its_form() -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("broken")

    transport = httpx.ASGITransport(Failures(broken, said=said))
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as client:
        assert error_of(await client.get("/v1/models")) == (500, "internal", None)


async def test_a_server_called_by_another_name_says_so_in_its_form(deps: ApiDeps) -> None:
    guarded = replace(deps, middleware=[Middleware(OwnNameOnly, said=said)])

    async with client_of(guarded) as client:
        assert error_of(await client.get("/v1/models"))[:2] == (403, "foreign_host")


async def test_too_many_waiting_jobs_are_refused_with_a_time_to_come_back(deps: ApiDeps) -> None:
    async with deps.store.begin() as tx:
        await tx.announce_engines([WRITER])
    full = replace(deps, admission=Admission(Caps(per_tenant=2, in_all=100)))

    async with client_of(full) as client:
        answer = await client.post(CHAT, json={**TALL, "n": 3})

    assert error_of(answer) == (429, "rate_limit_exceeded", None)
    assert int(answer.headers["retry-after"]) >= 1
    assert await jobs_of(deps.store) == [], "all choices, or none"


def fails(kind: str, **more: str) -> Callable[[Any], Any]:
    return lambda _: {"error": {"kind": kind, "message": "because", **more}}


@pytest.mark.parametrize(
    ("working", "expected"),
    [
        (
            fails("input", field="messages[1].content"),
            (400, "invalid_value", "messages[1].content"),
        ),
        (fails("internal"), (500, "job_failed", None)),
        (fails("transient"), (503, "job_failed", None)),
        (fails("deadline"), (504, "job_failed", None)),
    ],
    indirect=["working"],
    ids=["input", "internal", "transient", "deadline"],
)
async def test_a_job_that_failed_is_an_error_that_is_not_tried_again(
    http: httpx.AsyncClient, working: None, expected: Any
) -> None:
    whole = await http.post(CHAT, json=TALL)
    told = chunks_of(await http.post(CHAT, json={**TALL, "stream": True}))

    assert error_of(whole) == expected
    assert whole.headers["x-should-retry"] == "false"
    assert "x-headrace-job" in whole.headers
    assert told[-1]["error"]["code"] == expected[1]


async def test_an_answer_that_takes_too_long_is_given_up(
    deps: ApiDeps, http: httpx.AsyncClient
) -> None:
    hasty = replace(deps, limits=replace(deps.limits, answer_s=0.2))

    async with client_of(hasty) as client:
        ended = await client.post(CHAT, json=TALL)
        kept = await client.post(CHAT, json={**TALL, "on_disconnect": "continue"})

    assert error_of(ended)[:2] == error_of(kept)[:2] == (504, "timeout")
    asked = {job.id: job.cancel_asked_at for job in await jobs_of(deps.store)}
    assert asked[JobId(ended.headers["x-headrace-job"])] is not None
    assert asked[JobId(kept.headers["x-headrace-job"])] is None


@pytest.mark.parametrize("in_pieces", [True, False], ids=["in pieces", "at once"])
@pytest.mark.parametrize(
    ("policy", "asked_to_end"), [({}, True), ({"on_disconnect": "continue"}, False)],
    ids=["by itself", "told to go on"],
)  # fmt: skip
async def test_who_leaves_takes_the_work_along_unless_told_otherwise(
    live: httpx.AsyncClient, store: Store, in_pieces: bool, policy: Any, asked_to_end: bool
) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([WRITER])

    asked = {**TALL, "n": 2, "stream": in_pieces, **policy}

    async with asyncio.TaskGroup() as group:
        call = group.create_task(live.post(CHAT, json=asked, headers=RED))
        await eventually(lambda: are(store, lambda job: job.state == "queued"))
        call.cancel()
    left = await jobs_of(store)

    if asked_to_end:
        await eventually(lambda: are(store, lambda job: job.cancel_reason == "disconnected"))
    else:
        assert [job.cancel_asked_at for job in left] == [None, None]
    assert {job.spec.cancel_after_s for job in left} == ({0.0} if asked_to_end else {None})


async def are(store: Store, so: Callable[[Any], bool]) -> bool:
    """Both jobs."""
    return [so(job) for job in await jobs_of(store)] == [True, True]


async def test_what_was_left_is_resumed_by_the_jobs_own_stream(
    live: httpx.AsyncClient, store: Store, backstage: Any
) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([WRITER])
    asked = {**TALL, "stream": True, "on_disconnect": {"cancel_after": 60}}
    async with live.stream("POST", CHAT, json=asked, headers=RED) as response:
        job, position = response.headers["x-headrace-job"], ""
        await backstage.start(job)
        await backstage.say(job, Token("so"))
        async for line in response.aiter_lines():
            position = line.removeprefix("id: ") if line.startswith("id: ") else ""
            if position:
                break
    await backstage.say(job, Token("up"))
    await backstage.finish(job, SOUP)

    rest = await live.get(f"/jobs/{job}/events", params={"after": position}, headers=RED)

    assert '{"type":"token","text":"up"}' in rest.text
    assert '"so"' not in rest.text


@pytest.mark.parametrize("working", [soup], indirect=True)
async def test_the_same_key_makes_no_second_job(
    http: httpx.AsyncClient, store: Store, working: None
) -> None:
    key = {"Idempotency-Key": "k1"}

    first = await http.post(CHAT, json={**TALL, "n": 2}, headers=key)
    again = await http.post(CHAT, json={**TALL, "n": 2}, headers=key)
    other = await http.post(CHAT, json=TALL, headers=key)

    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert error_of(other)[:2] == (422, "idempotency_conflict")
    assert len(await jobs_of(store)) == 2


async def test_a_stream_says_in_its_form_that_the_server_stops(
    live: httpx.AsyncClient, server: Any, store: Store
) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([WRITER])

    async with live.stream("POST", CHAT, json={**TALL, "stream": True}, headers=RED) as response:
        lines = response.aiter_lines()
        while not (await anext(lines)).startswith("data: "):
            pass
        server.stop.set()
        rest = [line async for line in lines if line.startswith("data: ")]

    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "stopping"
    assert [job.cancel_asked_at for job in await jobs_of(store)] == [None], "it may be come back to"
