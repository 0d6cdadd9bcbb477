"""Every refusal of this door is JSON `{message, rc}`, whoever found the fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from headrace.api.dialects.horde.errors import HordeError, answer_for, refusal_for
from headrace.core.errors import (
    BlobNotFound,
    HeadraceError,
    IdempotencyConflict,
    InvalidInput,
    JobNotFound,
    QueuesFull,
    TenantQueueFull,
    TooLarge,
    Unavailable,
    UnknownModel,
)

CORE: list[tuple[HeadraceError, int, str]] = [
    (JobNotFound("x"), 404, "RequestNotFound"),
    (BlobNotFound("x"), 404, "ImageNotFound"),
    (UnknownModel("image", "x", []), 400, "UnsupportedModel"),
    (InvalidInput("/params/steps", "too many"), 400, "ValidationError"),
    (TenantQueueFull(3, 1.2), 429, "TooManyPrompts"),
    (QueuesFull(1.2), 503, "QueuesFull"),
    (TooLarge("a blob", 2, 1), 413, "PayloadTooLarge"),
    (IdempotencyConflict("k"), 409, "IdempotencyConflict"),
    (Unavailable("store", "at 10.0.0.7"), 503, "ServiceUnavailable"),
    (HeadraceError("of no kind"), 500, "InternalServerError"),
]


def said(answer: httpx.Response) -> Mapping[str, Any]:
    """The body, held to the form that the protocol's client reads."""
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert isinstance(body["message"], str)
    assert isinstance(body["rc"], str)
    assert set(body) <= {"message", "rc", "errors"}
    assert all(isinstance(why, str) for why in body.get("errors", {}).values())
    return body


@pytest.mark.parametrize(("error", "status", "rc"), CORE, ids=lambda each: type(each).__name__)
def test_an_error_of_the_core_has_a_status_and_a_code(
    error: HeadraceError, status: int, rc: str
) -> None:
    refusal = refusal_for(error)

    assert (refusal.status, refusal.rc) == (status, rc)
    assert "10.0.0.7" not in refusal.message


def test_a_wrong_field_is_told_by_its_name() -> None:
    refusal = refusal_for(InvalidInput("/params/steps", "too many"))

    assert refusal.errors == {"params.steps": "too many"}
    assert refusal.message == "Input payload validation failed"


def test_who_shall_wait_is_told_how_long() -> None:
    assert answer_for(TenantQueueFull(3, 1.2)).headers["retry-after"] == "2"


async def test_an_address_that_is_none_is_said_in_json_also_to_a_browser(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.get("/api/v2/nothing", headers={"accept": "text/html"})

    assert answer.status_code == 404
    assert said(answer)["rc"] == "NotFound"


async def test_a_method_that_is_none_is_said_in_json(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/v2/status/heartbeat")

    assert answer.status_code == 405
    assert said(answer)["rc"] == "MethodNotAllowed"


async def test_a_nul_in_the_address_is_said_in_json(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/v2/status/%00")

    assert answer.status_code == 400
    assert said(answer)["rc"] == "NulByteInPayload"


async def test_what_breaks_on_our_side_is_said_in_json(
    app: FastAPI, http: httpx.AsyncClient
) -> None:
    @app.get("/api/v2/broken")
    async def broken() -> None:
        raise RuntimeError("secret of the house")

    answer = await http.get("/api/v2/broken")

    assert answer.status_code == 500
    assert said(answer)["rc"] == "InternalServerError"
    assert "secret" not in answer.text


async def test_other_doors_go_on_saying_it_their_way(http: httpx.AsyncClient) -> None:
    answer = await http.get("/jobs/nothing")

    assert answer.headers["content-type"] == "application/problem+json"


def test_a_refusal_of_this_door_is_what_it_says() -> None:
    refused = HordeError(403, "KudosUpfront", "Not enough kudos.", headers={"X-A": "b"})

    answer = answer_for(refused)

    assert (answer.status_code, answer.headers["x-a"]) == (403, "b")
    assert answer.body == b'{"message":"Not enough kudos.","rc":"KudosUpfront"}'
