"""Whatever is wrong with a request, it gets a problem document that says what and where."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from headrace.api.bodies import LINGER_BYTES
from headrace.contracts.ids import TenantId
from headrace.core.ports.store import Query, Store

JSON = {"content-type": "application/json"}
ECHO = {"kind": "echo", "input": {"text": "hello"}}


def assert_problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    problem: dict[str, Any] = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:headrace:problem:{slug}"
    assert problem["title"]
    assert problem["detail"]
    return problem


@pytest.fixture(autouse=True)
async def nothing_is_stored(store: Store) -> AsyncGenerator[None]:
    yield
    async with store.begin() as tx:
        assert await tx.page(TenantId("anyone"), Query()) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"kind": "echo", "input": {"text": "\xff"}}',
        b'{"kind": "echo", "input": {"times": NaN, "text": ""}}',
        b'{"kind": "echo", "input": {"times": 1e999, "text": ""}}',
        b'{"kind": "echo", "input": {"text": "\\ud800"}}',
        b'{"kind": "echo", "input": {"text": "a\\u0000b"}}',
        b'{"kind": "echo", "input": {"a\\u0000b": 1}}',
        b'{"kind": "echo", "input": {"text": "a\x00b"}}',
        b'{"kind": "echo", "input": {"text": ' + b"[" * 100 + b"]" * 100 + b"}}",
        b"[" * 4000,
    ],
)
async def test_what_is_no_json_we_can_keep_is_malformed(
    http: httpx.AsyncClient, body: bytes
) -> None:
    answer = await http.post("/jobs", content=body, headers=JSON)

    assert_problem(answer, 400, "malformed")


async def test_text_that_spells_an_escape_is_no_nul(http: httpx.AsyncClient) -> None:
    body = b'{"kind": "nobody", "input": {"text": "a\\\\u0000b"}}'

    answer = await http.post("/jobs", content=body, headers=JSON)

    assert_problem(answer, 422, "unknown-model")


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"kind": 1}, "/kind"),
        ({"kind": ""}, "/kind"),
        ({"kind": None}, "/kind"),
        ({"model": 5}, "/model"),
        ({"input": []}, "/input"),
        ({"input": None}, "/input"),
        ({"priority": False}, "/priority"),
        ({"priority": 1.5}, "/priority"),
        ({"priority": 101}, "/priority"),
        ({"priority": 10**30}, "/priority"),
        ({"timeout": 0}, "/timeout"),
        ({"timeout": "60"}, "/timeout"),
        ({"run_at": "tomorrow"}, "/run_at"),
        ({"run_at": "2030-01-01T00:00:00"}, "/run_at"),
        ({"run_at": 1893456000}, "/run_at"),
        ({"run_at": "9999-12-31T23:59:59-14:00"}, "/run_at"),
        ({"labels": {"team": 1}}, "/labels/team"),
        ({"labels": {"a b": "c"}}, "/labels/a b"),
        ({"labels": {str(n): "" for n in range(17)}}, "/labels"),
        ({"callback": "https://example.org"}, "/callback"),
    ],
)
async def test_wrong_types_are_pointed_at(
    http: httpx.AsyncClient, wrong: dict[str, Any], pointer: str
) -> None:
    answer = await http.post("/jobs", json={**ECHO, **wrong})

    problem = assert_problem(answer, 422, "invalid")
    assert problem["pointer"] == pointer


@pytest.mark.parametrize("body", ["1", "null", "[]", '"echo"'])
async def test_a_job_is_an_object(http: httpx.AsyncClient, body: str) -> None:
    answer = await http.post("/jobs", content=body, headers=JSON)

    assert assert_problem(answer, 422, "invalid")["pointer"] == ""


async def test_all_that_is_wrong_is_told_at_once(http: httpx.AsyncClient) -> None:
    answer = await http.post("/jobs", json={"kind": 1, "colour": "red"})

    problem = assert_problem(answer, 422, "invalid")
    assert {error["pointer"] for error in problem["errors"]} == {"/kind", "/input", "/colour"}


async def test_an_unknown_kind_is_answered_with_those_there_are(http: httpx.AsyncClient) -> None:
    answer = await http.post("/jobs", json={**ECHO, "kind": "video"})

    problem = assert_problem(answer, 422, "unknown-model")
    assert (problem["known"], problem["pointer"]) == (["echo"], "/kind")


async def test_an_unknown_model_is_answered_with_those_there_are(http: httpx.AsyncClient) -> None:
    answer = await http.post("/jobs", json={**ECHO, "model": "echo-9"})

    problem = assert_problem(answer, 422, "unknown-model")
    assert (problem["known"], problem["pointer"]) == (["echo-1", "echo-2"], "/model")


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({}, "/input"),
        ({"text": 5}, "/input/text"),
        ({"text": "a", "times": 0}, "/input/times"),
        ({"text": "a", "times": "b"}, "/input/times"),
        ({"text": "a", "colour": "red"}, "/input"),
    ],
)
async def test_an_input_that_does_not_fit_is_pointed_at(
    http: httpx.AsyncClient, given: dict[str, Any], pointer: str
) -> None:
    answer = await http.post("/jobs", json={"kind": "echo", "input": given})

    assert assert_problem(answer, 422, "invalid-input")["pointer"] == pointer


async def test_a_refusal_does_not_repeat_a_long_input(http: httpx.AsyncClient) -> None:
    answer = await http.post("/jobs", json={"kind": "echo", "input": {"text": ["a" * 3000]}})

    assert_problem(answer, 422, "invalid-input")
    assert len(answer.content) < 1000


async def test_a_huge_body_is_refused_by_what_it_declares(http: httpx.AsyncClient) -> None:
    answer = await http.post("/jobs", content=b"x" * 5000, headers=JSON)

    assert assert_problem(answer, 413, "too-large")["limit"] == 4096


async def test_an_endless_body_is_read_for_a_while_and_refused(http: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 1000

    answer = await http.post("/jobs", content=endless(), headers=JSON)

    assert_problem(answer, 413, "too-large")
    assert sent == (4096 + LINGER_BYTES) // 1000 + 1


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_another_media_type_is_refused(http: httpx.AsyncClient, media_type: str) -> None:
    answer = await http.post("/jobs", content=b"{}", headers={"content-type": media_type})

    assert_problem(answer, 415, "unsupported-media-type")


async def test_a_body_without_a_media_type_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/jobs", content=b"{}")

    assert_problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_an_idempotency_key_has_a_length(http: httpx.AsyncClient, key: str) -> None:
    answer = await http.post("/jobs", json=ECHO, headers={"Idempotency-Key": key})

    assert assert_problem(answer, 422, "invalid")["parameter"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("state=lost", "state"),
        ("label=team", "label"),
        ("created_after=yesterday", "created_after"),
        ("created_after=2026-01-01T00:00:00", "created_after"),
        ("created_after=1767225600", "created_after"),
        ("colour=red", "colour"),
        ("cursor=!", "cursor"),
        ("cursor=YWJj", "cursor"),
        ("cursor=MjAyNi0wMS0wMVQwMDowMDowMHxh", "cursor"),
        ("cursor=MDAwMS0wMS0wMVQwMDowMDowMCsyMzo1OXxh", "cursor"),  # in UTC, a day before the first
    ],
)
async def test_a_wrong_filter_is_named(http: httpx.AsyncClient, query: str, parameter: str) -> None:
    answer = await http.get(f"/jobs?{query}")

    assert assert_problem(answer, 422, "invalid")["parameter"] == parameter


@pytest.mark.parametrize("path", ["/jobs?kind=a%00b", "/jobs/%00", "/blobs/a%00.png"])
async def test_an_address_with_a_nul_is_malformed(http: httpx.AsyncClient, path: str) -> None:
    assert_problem(await http.get(path), 400, "malformed")


@pytest.mark.parametrize("verb", ["", "/status", "/result", "/timeline", "/events"])
@pytest.mark.parametrize("job", ["123", "01J9ZK", "6f9619ff-8b86-4011-b42d-00c04fc964ff", "%7B%7D"])
async def test_an_unknown_id_is_not_found(http: httpx.AsyncClient, job: str, verb: str) -> None:
    assert_problem(await http.get(f"/jobs/{job}{verb}"), 404, "no-such-job")


async def test_an_unknown_job_cannot_be_cancelled(http: httpx.AsyncClient) -> None:
    answer = await http.post("/jobs/6f9619ff-8b86-4011-b42d-00c04fc964ff/cancel")

    assert_problem(answer, 404, "no-such-job")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD"])
async def test_an_unknown_address_is_not_found(http: httpx.AsyncClient, method: str) -> None:
    answer = await http.request(method, "/job")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_wrong_method_is_told_the_right_ones(http: httpx.AsyncClient) -> None:
    answer = await http.delete("/jobs")

    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    "address",
    ["/jobs?limit=1&limit=2", "/jobs?cursor=a&limit=1&cursor=b", "/admin/jobs?tenant=a&tenant=b"],
)
async def test_what_a_query_says_twice_is_refused(http: httpx.AsyncClient, address: str) -> None:
    answer = await http.get(address, headers={"apikey": "key-of-operators"})

    assert answer.status_code == 400, answer.text
    assert "more than once" in answer.json()["detail"]


async def test_what_may_be_said_often_is_not_refused_for_it(http: httpx.AsyncClient) -> None:
    nobody = "4d1cba0e-2d3b-4a8e-9d0c-0d6f3b7b7a11"
    answer = await http.get(f"/jobs/statuses?id={nobody}&id={nobody.replace('4', '5', 1)}")

    assert answer.status_code == 200, answer.text
