"""A server without keys answers to its own name alone: a page elsewhere cannot rebind one to it."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from headrace.api.guards import OwnNameOnly


async def called(host: str) -> httpx.Response:
    app = Starlette(
        routes=[Route("/", lambda _: PlainTextResponse("hello"))],
        middleware=[Middleware(OwnNameOnly)],
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        return await client.get("http://127.0.0.1/", headers={"Host": host})


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]", "[::1]:8000", "LOCALHOST"]
)
async def test_its_own_names_are_served(host: str) -> None:
    assert (await called(host)).text == "hello"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io", ""]
)
async def test_a_name_of_somebody_else_is_refused(host: str) -> None:
    answer = await called(host)

    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
