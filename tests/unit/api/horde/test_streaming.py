"""Instead of polling: the frames of a request, for whoever knows its id."""

from __future__ import annotations

import httpx
import httpx_sse
import pytest
from tests.unit.api.conftest import Backstage
from tests.unit.api.horde.conftest import ANONYMOUS, IMAGE_MODEL, TEXT_MODEL

from headrace.api.dialects.horde.requests import job_id
from headrace.contracts.frames import Progress, Token


async def asked(http: httpx.AsyncClient, path: str, model: str, **params: int) -> tuple[str, str]:
    """The request's id, and where its stream is."""
    body = {"prompt": "a fox", "models": [model], "params": params}
    answer = await http.post(f"/api/v2/{path}", json=body, headers=ANONYMOUS)
    address = answer.headers["link"].partition(";")[0].strip("<>")
    return answer.json()["id"], address


async def read(http: httpx.AsyncClient, address: str) -> list[tuple[str, str]]:
    async with httpx_sse.aconnect_sse(http, "GET", address) as source:
        return [(said.id, said.event) async for said in source.aiter_sse()]


async def test_a_text_is_followed_without_a_key(
    live: httpx.AsyncClient, backstage: Backstage
) -> None:
    request, address = await asked(live, "generate/text/async", TEXT_MODEL)
    await backstage.start(job_id(request, 0))
    await backstage.say(job_id(request, 0), Token("a"), Token("b"))
    await backstage.finish(job_id(request, 0), {"text": "ab"})

    events = await read(live, address)

    assert events == [
        ("0-1", "queued"), ("1-1", "started"), ("1-2", "token"), ("1-3", "token"), ("2-1", "succeeded"),
    ]  # fmt: skip
    assert await read(live, f"{address}?after=1-2") == events[3:]
    assert (await live.get(f"{address}?after=2-1")).status_code == 204


async def test_each_of_many_images_has_a_stream(
    live: httpx.AsyncClient, backstage: Backstage
) -> None:
    request, address = await asked(live, "generate/async", IMAGE_MODEL, n=2)
    second = job_id(request, 1)
    await backstage.start(second)
    await backstage.say(second, Progress(fraction=0.5, step=5, steps=10))
    await backstage.finish(second, {})

    events = await read(live, f"{address}?generation=1")

    assert [kind for _, kind in events] == ["queued", "started", "progress", "succeeded"]


@pytest.mark.parametrize(
    ("query", "status", "rc"),
    [
        ("generation=1", 404, "RequestNotFound"),
        ("generation=20", 400, "ValidationError"),
        ("after=yesterday", 400, "BadRequest"),
    ],
)
async def test_what_cannot_be_followed_is_said_why(
    http: httpx.AsyncClient, query: str, status: int, rc: str
) -> None:
    _, address = await asked(http, "generate/async", IMAGE_MODEL)

    answer = await http.get(f"{address}?{query}")

    assert (answer.status_code, answer.json()["rc"]) == (status, rc)


async def test_a_stream_of_nobodys_is_not_found(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/v2/generate/00000000-0000-4000-8000-000000000000/stream")

    assert (answer.status_code, answer.json()["rc"]) == (404, "RequestNotFound")
