"""The stream of a run: every stage in one, resumed from anywhere, over events and a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from httpx_sse import ServerSentEvent, aconnect_sse
from websockets.asyncio.client import connect

from headrace.adapters.streams.inprocess.streams import InProcessStreams
from headrace.api.deps import ApiDeps
from headrace.contracts.frames import Token
from headrace.core.ports.store import Store
from headrace.testkit.apps import create_app
from headrace.testkit.runs_at_the_door import (
    BLUE,
    PIPELINES,
    RED,
    Crew,
    begin,
    job_of,
    shown,
)


@pytest.fixture
def app(deps: ApiDeps) -> FastAPI:
    return create_app(replace(deps, pipelines=PIPELINES))


@pytest.fixture
def crew(store: Store, streams: InProcessStreams) -> Crew:
    return Crew(store, streams)


@asynccontextmanager
async def events(
    live: httpx.AsyncClient, run: Any, after: str | None = None
) -> AsyncGenerator[AsyncGenerator[ServerSentEvent]]:
    headers = RED if after is None else RED | {"Last-Event-ID": after}
    async with aconnect_sse(live, "GET", f"/runs/{run['id']}/events", headers=headers) as source:
        yield source.aiter_sse()


async def _first_of(
    stream: AsyncGenerator[ServerSentEvent], kind: str, count: int
) -> AsyncGenerator[ServerSentEvent]:
    async for event in stream:
        count -= event.event == kind
        yield event
        if count == 0:
            return


async def test_one_stream_tells_of_every_stage_to_the_end(
    live: httpx.AsyncClient, crew: Crew
) -> None:
    run = await begin(live)
    async with asyncio.timeout(20), events(live, run) as stream:
        assert (await anext(stream)).event == "run"
        await crew.do(job_of(run, "first"), Token("a"), Token("b"))
        seen: list[Any] = []
        nexts: list[int] = []
        async for event in stream:
            data = json.loads(event.data)
            if event.event != "run" or data["state"] != "running":
                seen.append((data.get("stage"), event.event, data.get("state")))
            if event.event == "run" and data["stages"][1]["state"] == "running" and not nexts:
                nexts.append(1)
                await crew.do(job_of(await shown(live, run), "next"), Token("c"))

    assert seen == [
        ("first", "queued", None),
        ("first", "started", None),
        ("first", "token", None),
        ("first", "token", None),
        ("first", "succeeded", None),
        ("next", "queued", None),
        ("next", "started", None),
        ("next", "token", None),
        ("next", "succeeded", None),
        (None, "run", "succeeded"),
    ]


async def test_a_stream_is_resumed_from_any_of_its_events(
    live: httpx.AsyncClient, crew: Crew
) -> None:
    run = await begin(live)
    await crew.do(job_of(run, "first"), Token("a"), Token("b"))
    await crew.do(job_of(await shown(live, run), "next"), Token("c"))
    async with asyncio.timeout(20), events(live, run) as stream:
        whole = [event async for event in stream]

    frames = [event for event in whole if event.event != "run"]
    for place, event in enumerate(frames):
        async with asyncio.timeout(20), events(live, run, event.id) as stream:
            rest = [later.data async for later in stream if later.event != "run"]
        assert rest == [later.data for later in frames[place + 1 :]]
    over = await live.get(f"/runs/{run['id']}/events", params={"after": whole[-1].id}, headers=RED)
    assert over.status_code == 204


async def test_pieces_side_by_side_are_resumed_each_where_it_was(
    live: httpx.AsyncClient, crew: Crew
) -> None:
    run = await begin(live, "fan")
    one, other = job_of(run, "fan", 0), job_of(run, "fan", 1)
    for job in (one, other):
        await crew.start(job)
    async with asyncio.timeout(20), events(live, run) as stream:
        for job, text in ((one, "a"), (other, "x"), (one, "b")):
            await crew.say(job, Token(text))
        said = [event async for event in _first_of(stream, "token", 3)]
    for job in (other, one):
        await crew.say(job, Token("late"))
        await crew.end(job)
    async with asyncio.timeout(20), events(live, run, said[-1].id) as stream:
        rest = [json.loads(event.data) async for event in stream if event.event != "run"]

    late = sorted(
        (each["index"], each["frame"]["type"], each["frame"].get("text")) for each in rest
    )
    assert late == [
        (0, "succeeded", None),
        (0, "token", "late"),
        (1, "succeeded", None),
        (1, "token", "late"),
    ]


async def test_a_wrong_position_is_refused(live: httpx.AsyncClient) -> None:
    run = await begin(live)

    answer = await live.get(f"/runs/{run['id']}/events", params={"after": "x"}, headers=RED)

    assert answer.status_code == 400
    assert "position" in answer.json()["detail"]


async def test_a_socket_tells_the_same(live: httpx.AsyncClient, crew: Crew) -> None:
    run = await begin(live, "fan", input={"texts": ["a"]})
    await crew.do(job_of(run, "fan"), Token("a"))
    address = f"{live.base_url}".replace("http", "ws") + f"/runs/{run['id']}/ws"
    async with asyncio.timeout(20), connect(address, additional_headers=RED) as socket:
        said = [json.loads(message) async for message in socket]

    assert {each["run"] for each in said} == {run["id"]}
    assert [each["event"] for each in said] == [*("queued", "started", "token", "succeeded", "run")]
    async with connect(f"{address}?after={said[2]['id']}", additional_headers=RED) as socket:
        rest = [json.loads(message) async for message in socket]
    assert rest == said[3:]


async def test_another_tenants_run_is_no_run_on_a_socket_either(live: httpx.AsyncClient) -> None:
    run = await begin(live)
    address = f"{live.base_url}".replace("http", "ws") + f"/runs/{run['id']}/ws"

    async with asyncio.timeout(20), connect(address, additional_headers=BLUE) as socket:
        said = json.loads(await socket.recv())
        await socket.wait_closed()

    assert said["error"]["status"] == 404
    assert socket.close_code == 1008


async def test_a_ticket_for_a_run_shows_that_run_and_nothing_else(
    live: httpx.AsyncClient, http: httpx.AsyncClient, crew: Crew
) -> None:
    run, other = await begin(http), await begin(http)

    async def ticket() -> str:
        answer = await http.post("/tickets", params={"run": run["id"]}, headers=RED)
        return str(answer.json()["ticket"])

    async with aconnect_sse(
        live, "GET", f"/runs/{run['id']}/events", params={"ticket": await ticket()}
    ) as source:
        first = await anext(source.aiter_sse())
    elsewhere = await http.get(f"/runs/{other['id']}/events", params={"ticket": await ticket()})
    job = job_of(run, "first")
    of_a_job = await http.get(f"/jobs/{job}/events", params={"ticket": await ticket()})

    assert first.event == "run"
    assert (elsewhere.status_code, of_a_job.status_code) == (403, 403)
    theirs = await http.post("/tickets", params={"run": run["id"]}, headers=BLUE)
    both = await http.post("/tickets", params={"run": run["id"], "job": job}, headers=RED)
    assert (theirs.status_code, both.status_code) == (404, 422)
