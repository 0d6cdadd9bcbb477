"""Tickets: what a browser shows where it can send no header; good once, for reading, for a moment."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from headrace.testkit.apps import create_app
from headrace.testkit.waits import eventually

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}


@pytest.fixture
async def told(submitted: str, backstage: Any) -> str:
    await backstage.start(submitted)
    await backstage.finish(submitted, {"text": "abc"})
    return submitted


async def ticket(live: httpx.AsyncClient, **params: str) -> str:
    answer = await live.post("/tickets", headers=RED, params=params)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["ticket"])


async def events(live: httpx.AsyncClient, job: str, ticket: str, **headers: str) -> httpx.Response:
    return await live.get(f"/jobs/{job}/events", params={"ticket": ticket}, headers=headers)


async def test_a_ticket_shows_the_stream_once(live: httpx.AsyncClient, told: str) -> None:
    shown = await ticket(live)

    first, second = await events(live, told, shown), await events(live, told, shown)

    assert first.status_code == 200
    assert "event: succeeded" in first.text
    assert second.status_code == 401
    assert second.headers["content-type"] == "application/problem+json"


async def test_an_invented_ticket_is_refused_even_beside_a_key(
    live: httpx.AsyncClient, told: str
) -> None:
    answer = await events(live, told, "invented", **RED)

    assert answer.status_code == 401


async def test_a_ticket_is_good_for_its_tenant_alone(live: httpx.AsyncClient, told: str) -> None:
    blue = (await live.post("/tickets", headers=BLUE)).json()["ticket"]

    assert (await events(live, told, blue)).status_code == 404


async def test_a_ticket_for_one_job_shows_no_other(live: httpx.AsyncClient, told: str) -> None:
    other = await live.post(
        "/jobs", headers=RED, json={"kind": "echo", "model": "echo-1", "input": {"text": "x"}}
    )
    bound = await ticket(live, job=other.json()["id"])

    answer = await events(live, told, bound)

    assert answer.status_code == 403
    assert answer.json()["type"].endswith(":wrong-ticket")


async def test_nobody_gets_a_ticket_for_another_tenants_job(
    live: httpx.AsyncClient, told: str
) -> None:
    answer = await live.post("/tickets", headers=BLUE, params={"job": told})

    assert answer.status_code == 404


async def test_an_old_ticket_is_refused(deps: Any, told: str) -> None:
    app = create_app(replace(deps, limits=replace(deps.limits, ticket_s=0.0)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as http:
        answer = await events(http, told, await ticket(http))

    assert answer.status_code == 401


async def test_a_ticket_is_in_no_log(
    live: httpx.AsyncClient, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = await ticket(live)
    await events(live, told, shown)
    await events(live, told, shown)

    ours = [
        record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    ]
    assert shown not in "".join(str(record.__dict__) for record in ours)


async def test_a_socket_opens_by_ticket_and_reads_only(
    server: Any, live: httpx.AsyncClient, submitted: str, backstage: Any
) -> None:
    await backstage.start(submitted)
    shown = await ticket(live)
    async with connect(f"ws://{server.address}/ws?ticket={shown}") as socket:
        await socket.send(json.dumps({"subscribe": submitted}))
        first = json.loads(await socket.recv())
        await socket.send(json.dumps({"cancel": submitted}))
        refused = await _first_error(socket)

    assert first["frame"]["type"] == "queued"
    assert refused["type"].endswith(":read-only")


async def test_a_used_ticket_opens_no_socket(server: Any, live: httpx.AsyncClient) -> None:
    shown = await ticket(live)
    async with connect(f"ws://{server.address}/ws?ticket={shown}"):
        pass

    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws://{server.address}/ws?ticket={shown}"):
            pass

    assert refused.value.response.status_code == 401


class TestAtItsEnd:
    @pytest.fixture
    def app(self, deps: Any) -> Any:
        return create_app(replace(deps, limits=replace(deps.limits, ticket_session_s=0.2)))

    async def test_a_socket_is_closed_by_policy(self, server: Any, live: httpx.AsyncClient) -> None:
        async with connect(f"ws://{server.address}/ws?ticket={await ticket(live)}") as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()

        assert socket.close_code == 1008

    async def test_a_stream_ends_and_the_watching_with_it(
        self, live: httpx.AsyncClient, submitted: str, backstage: Any, streams: Any
    ) -> None:
        await backstage.start(submitted)

        answer = await events(live, submitted, await ticket(live))

        assert "event: started" in answer.text
        assert "event: succeeded" not in answer.text
        await eventually(lambda: submitted not in streams._watchers)

    async def test_a_key_is_good_for_longer(
        self, server: Any, live: httpx.AsyncClient, submitted: str, backstage: Any
    ) -> None:
        await backstage.start(submitted)
        async with connect(
            f"ws://{server.address}/jobs/{submitted}/ws", additional_headers=RED
        ) as socket:
            await events(live, submitted, await ticket(live))  # a whole session of another
            await backstage.finish(submitted, {"text": "abc"})
            told = [json.loads(message)["frame"]["type"] async for message in socket]

        assert told[-1] == "succeeded"


async def _first_error(socket: Any) -> Any:
    async for message in socket:
        if "error" in (said := json.loads(message)):
            return said["error"]
    raise AssertionError("nothing was refused")
