"""OpenAI's API: what each route makes of a request, and of what the jobs made."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from headrace.api.deps import ApiDeps
from headrace.contracts.ids import TenantId
from headrace.core.ports.blobs import Blob
from headrace.core.ports.store import Store
from headrace.testkit.asking import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    HELLO,
    IMAGES,
    TALL,
    Worker,
    chunks_of,
    client_of,
    error_of,
    jobs_of,
    soup,
)
from headrace.testkit.background import served


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
        forged = await client.get(url[:-3] + "abc")
        another = await client.get(url.replace("/blobs/", "/blobs/0"))

    assert fetched.content == b"\x89PNG of an apple"
    assert [each.status_code for each in (forged, another)] == [403, 404]


async def test_models_are_those_that_this_door_has_a_route_for(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/v1/models")).json()
    one = (await http.get("/v1/models/tall/er")).json()

    assert [each["id"] for each in listed["data"]] == [
        "basic", "painter", "reader", "small", "tall/er",
    ]  # fmt: skip
    assert one == {
        "id": "tall/er", "object": "model", "created": 0, "owned_by": "headrace", "kind": "text",
    }  # fmt: skip


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
