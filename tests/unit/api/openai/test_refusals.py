"""OpenAI's API: what is refused, and that everything is refused in its form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest
from starlette.middleware import Middleware

from headrace.api.deps import ApiDeps
from headrace.api.guards import Failures, OwnNameOnly
from headrace.core.errors import Unavailable
from headrace.core.ports.store import Store
from headrace.core.usecases.admit import Admission, Caps
from headrace.testkit.asking import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    HELLO,
    IMAGES,
    TALL,
    chunks_of,
    client_of,
    error_of,
    jobs_of,
)


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

    transport = httpx.ASGITransport(Failures(broken))
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as client:
        assert error_of(await client.get("/v1/models")) == (500, "internal", None)


async def test_a_server_called_by_another_name_says_so_in_its_form(deps: ApiDeps) -> None:
    guarded = replace(deps, middleware=[Middleware(OwnNameOnly)])

    async with client_of(guarded) as client:
        assert error_of(await client.get("/v1/models"))[:2] == (403, "foreign_host")


async def test_too_many_waiting_jobs_are_refused_with_a_time_to_come_back(deps: ApiDeps) -> None:
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
