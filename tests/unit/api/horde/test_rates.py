"""Who asks too often is told when to come again; who is counted, and who is not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import httpx
import pytest
from fastapi import FastAPI
from tests.unit.api.horde.conftest import ANONYMOUS, IMAGE_MODEL

from headrace.api.deps import ApiDeps
from headrace.api.role import Api
from headrace.core.rates import RateName, rates
from headrace.testkit.apps import create_app
from headrace.testkit.background import served

ASKED = {"prompt": "a red fox", "models": [IMAGE_MODEL]}
From: TypeAlias = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def counting(deps: ApiDeps) -> From:
    """A client at an address, of an api that counts."""
    app: FastAPI | None = None

    @asynccontextmanager
    async def client(address: str = "10.0.0.1", **told: str) -> AsyncGenerator[httpx.AsyncClient]:
        nonlocal app
        named: dict[Any, Any] = {name.replace("_", "-"): rates(text) for name, text in told.items()}
        app = app or create_app(replace(deps, rates=named))
        transport = httpx.ASGITransport(app, client=(address, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as http:
            yield http

    return client


async def ask(http: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await http.post("/api/v2/generate/async", json=ASKED, headers={**ANONYMOUS, **headers})


async def test_an_address_that_asks_too_often_is_told_when_to_come_again(counting: From) -> None:
    async with counting(ask="2/h") as http:
        answers = [await ask(http) for _ in range(3)]

    assert [each.status_code for each in answers] == [202, 202, 429]
    refused = answers[-1]
    assert refused.json()["rc"] == "TooManyRequests"
    assert 3590 <= int(refused.headers["retry-after"]) <= 3600


async def test_another_address_and_another_path_are_counted_by_themselves(counting: From) -> None:
    async with counting(ask="1/h") as http, counting("10.0.0.2") as other:
        await ask(http)
        text = {"prompt": "Once", "models": ["smollm2-135m-instruct"]}
        another_path = await http.post("/api/v2/generate/text/async", json=text, headers=ANONYMOUS)
        another_address = await ask(other)
        again = await ask(http)

    assert [another_path.status_code, another_address.status_code] == [202, 202]
    assert again.status_code == 429


@pytest.mark.parametrize(("name", "status"), [("key", 401), ("anonymous", 202)])
async def test_a_key_is_counted_from_wherever_it_comes(
    counting: From, name: RateName, status: int
) -> None:
    key = {"apikey": "x" * 22} if name == "key" else {}
    async with counting(**{name: "1/h"}) as http, counting("10.0.0.2") as other:
        answers = [await ask(http, **key), await ask(other, **key)]

    assert [each.status_code for each in answers] == [status, 429]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("check", "generate/check"),
        ("status", "generate/status"),
        ("text_status", "generate/text/status"),
        ("check", "generate/video/check"),
        ("status", "generate/video/status"),
        ("text_status", "interrogate/status"),
    ],
)
async def test_asking_how_it_goes_is_counted_by_request(
    counting: From, name: str, path: str
) -> None:
    one, another = "0" * 32, "1" * 32
    async with counting(**{name: "1/h"}) as http:
        answers = [await http.get(f"/api/v2/{path}/{each}") for each in (one, one, another)]

    assert [each.status_code for each in answers] == [404, 429, 404]


async def test_whether_it_lives_may_be_asked_at_any_rate(counting: From) -> None:
    every = dict.fromkeys(("ask", "check", "status", "text_status", "progress"), "1/h")
    async with counting(**every) as http:
        answers = [await http.get("/api/v2/status/heartbeat") for _ in range(20)]

    assert {each.status_code for each in answers} == {200}


@pytest.mark.parametrize(("trusted", "second"), [((), 429), (("127.0.0.0/8",), 202)])
async def test_a_proxys_word_for_its_client_counts_where_it_is_trusted(
    deps: ApiDeps, trusted: tuple[str, ...], second: int
) -> None:
    app = create_app(replace(deps, rates={"ask": rates("1/h")}))
    role = Api(app, host="127.0.0.1", port=0, grace_s=2, trusted=trusted)
    async with served(role.serve):
        await role.bound.wait()
        url = f"http://127.0.0.1:{role.port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            answers = [await ask(http, **{"X-Forwarded-For": f"10.0.0.{n}"}) for n in (1, 2)]

    assert [each.status_code for each in answers] == [202, second]
