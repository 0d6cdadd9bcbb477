"""Keys belong to tenants, and nothing of one tenant's is there for another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from headrace.api.auth import Keys
from headrace.testkit.apps import create_app

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}


@pytest.mark.parametrize("headers", [RED, {"Authorization": "Bearer key-of-red"}])
async def test_a_key_is_shown_in_either_header(
    http: httpx.AsyncClient, submitted: str, headers: dict[str, str]
) -> None:
    assert (await http.get(f"/jobs/{submitted}", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"apikey": "wrong"}, {"apikey": ""}, {"Authorization": "Bearer wrong"}]
)
@pytest.mark.parametrize("path", ["/jobs", "/models", "/blobs/x"])
async def test_a_wrong_key_is_refused_even_where_none_is_needed(
    http: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    answer = await http.get(path, headers=headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "urn:headrace:problem:unauthorized"


@pytest.mark.parametrize("word", ["none", " none "])
async def test_a_client_that_must_show_a_key_shows_none(http: httpx.AsyncClient, word: str) -> None:
    headers = {"Authorization": f"Bearer {word}"}

    assert (await http.get("/jobs", headers=headers)).status_code == 200


async def test_no_key_is_enough_only_where_settings_say_so(deps: Any) -> None:
    closed = create_app(replace(deps, auth=Keys({"red": RED["apikey"]}, anonymous=None)))
    transport = httpx.ASGITransport(closed)
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as http:
        without = await http.get("/jobs")
        with_key = await http.get("/jobs", headers=RED)
        health = await http.get("/health")

    assert (without.status_code, with_key.status_code, health.status_code) == (401, 200, 200)


@pytest.mark.parametrize("other", [BLUE, {}])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/status"),
        ("GET", "/result"),
        ("GET", "/timeline"),
        ("GET", "/events"),
        ("POST", "/cancel"),
    ],
)
async def test_another_tenants_job_is_not_found(
    http: httpx.AsyncClient, submitted: str, method: str, path: str, other: dict[str, str]
) -> None:
    answer = await http.request(method, f"/jobs/{submitted}{path}", headers=other)

    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:headrace:problem:no-such-job"


async def test_a_list_has_only_ones_own(http: httpx.AsyncClient, submitted: str) -> None:
    assert len((await http.get("/jobs", headers=RED)).json()["jobs"]) == 1
    assert (await http.get("/jobs", headers=BLUE)).json()["jobs"] == []
