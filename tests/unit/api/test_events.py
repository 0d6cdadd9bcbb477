"""Server-Sent Events: every frame once, from where the client was, to the terminal one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import httpx_sse
import pytest

from headrace.api.gateways.sse import event, farewell
from headrace.contracts.frames import Entry, Token
from headrace.contracts.ids import Position

RED = {"apikey": "key-of-red"}


async def read(http: httpx.AsyncClient, job: str, **more: Any) -> list[tuple[str, str, str]]:
    headers = {**RED, **more.pop("headers", {})}
    async with httpx_sse.aconnect_sse(
        http, "GET", f"/jobs/{job}/events", headers=headers, **more
    ) as source:
        return [(said.id, said.event, said.data) async for said in source.aiter_sse()]


@pytest.fixture
async def told(http: httpx.AsyncClient, submitted: str, backstage: Any) -> str:
    """A job that has ended after three tokens."""
    await backstage.start(submitted)
    await backstage.say(submitted, Token("a"), Token("b"), Token("c"))
    await backstage.finish(submitted, {"text": "abc"})
    return submitted


async def test_a_latecomer_gets_everything(live: httpx.AsyncClient, told: str) -> None:
    events = await read(live, told)

    assert [(place, kind) for place, kind, _ in events] == [
        ("0-1", "queued"), ("1-1", "started"),
        ("1-2", "token"), ("1-3", "token"), ("1-4", "token"), ("2-1", "succeeded"),
    ]  # fmt: skip
    assert events[2][2] == '{"type":"token","text":"a"}'


@pytest.mark.parametrize(
    ("headers", "params"),
    [
        ({"Last-Event-ID": "1-3"}, {}),
        ({}, {"after": "1-3"}),
        ({"Last-Event-ID": "1-3"}, {"after": "1-1"}),
    ],
)
async def test_a_client_resumes_where_it_was(
    live: httpx.AsyncClient, told: str, headers: dict[str, str], params: dict[str, str]
) -> None:
    events = await read(live, told, headers=headers, params=params)

    assert [place for place, _, _ in events] == ["1-4", "2-1"]


async def test_the_first_event_says_how_long_to_wait_before_coming_back(
    live: httpx.AsyncClient, told: str
) -> None:
    answer = await live.get(f"/jobs/{told}/events", headers=RED)

    assert re.match(r": connected\nretry: \d{4}\nid: 0-1\n", answer.text)


async def test_frames_come_as_they_are_said(
    live: httpx.AsyncClient, submitted: str, backstage: Any
) -> None:
    async with httpx_sse.aconnect_sse(
        live, "GET", f"/jobs/{submitted}/events", headers=RED
    ) as source:
        events = source.aiter_sse()
        await backstage.start(submitted)
        queued, started = await anext(events), await anext(events)
        await backstage.say(submitted, Token("now"))
        token = await anext(events)

    assert [said.event for said in (queued, started, token)] == ["queued", "started", "token"]
    assert token.json() == {"type": "token", "text": "now"}


async def test_who_has_the_end_is_sent_away_for_good(live: httpx.AsyncClient, told: str) -> None:
    answer = await live.get(f"/jobs/{told}/events", headers={**RED, "Last-Event-ID": "2-1"})

    assert answer.status_code == 204


@pytest.mark.parametrize("place", ["1", "a-b", "-1-1", "1-1-1", "1-99999999999999999999", "01-1"])
async def test_a_bad_position_is_refused(
    http: httpx.AsyncClient, submitted: str, place: str
) -> None:
    for how in ({"headers": {**RED, "Last-Event-ID": place}}, {"params": {"after": place}}):
        answer = await http.get(f"/jobs/{submitted}/events", **{"headers": RED, **how})  # type: ignore[arg-type]

        assert answer.status_code == 400
        assert answer.json()["type"].endswith(":bad-position")


async def test_a_silent_stream_is_kept_open_by_comments(
    live: httpx.AsyncClient, submitted: str
) -> None:
    async with live.stream("GET", f"/jobs/{submitted}/events", headers=RED) as answer:
        lines = answer.aiter_lines()
        first = await anext(lines)
        second = await _next_starting_with(lines, ":")

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    assert (first, second) == (": connected", ": ping")


async def test_a_disconnect_ends_the_watching_and_not_the_job(
    live: httpx.AsyncClient, submitted: str, backstage: Any, streams: Any
) -> None:
    async with live.stream("GET", f"/jobs/{submitted}/events", headers=RED) as answer:
        await anext(answer.aiter_lines())
    await backstage.start(submitted)
    await backstage.finish(submitted, {"text": "a"})

    events = await read(live, submitted)
    assert [kind for _, kind, _ in events] == ["queued", "started", "succeeded"]


async def test_a_stopping_server_says_when_to_come_back(
    live: httpx.AsyncClient, server: Any, submitted: str
) -> None:
    async with live.stream("GET", f"/jobs/{submitted}/events", headers=RED) as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        server.stop.set()
        async with asyncio.timeout(1):
            rest = [line async for line in lines]

    assert ": this server stops; connect again" in rest
    assert re.fullmatch(r"retry: \d{4,5}", rest[-2])


async def test_who_comes_while_the_server_stops_is_sent_away_at_once(
    live: httpx.AsyncClient, deps: Any, submitted: str
) -> None:
    deps.stopping.set()  # it still listens, for a moment

    async with asyncio.timeout(5):
        answer = await live.get(f"/jobs/{submitted}/events", headers=RED)

    assert re.search(r": this server stops; connect again\nretry: \d{4,5}\n\n$", answer.text)


async def test_a_long_replay_lets_others_be_served(
    live: httpx.AsyncClient, submitted: str, backstage: Any
) -> None:
    await backstage.start(submitted)
    await backstage.say(submitted, *[Token("x" * 100) for _ in range(9_000)])

    async with live.stream("GET", f"/jobs/{submitted}/events", headers=RED) as answer:
        await anext(answer.aiter_raw())
        async with asyncio.timeout(2):
            other = await live.get("/livez")

    assert other.status_code == 200


def test_an_event_is_position_type_and_json() -> None:
    made = event(Entry(Position(3, 17), "token", b'{"type":"token"}'))

    assert made == b'id: 3-17\nevent: token\ndata: {"type":"token"}\n\n'


def test_line_ends_inside_json_do_not_break_an_event() -> None:
    made = event(Entry(Position(1, 1), "log", b'{"a":1,\r\n"b":2}'))

    assert made == b'id: 1-1\nevent: log\ndata: {"a":1,\ndata: "b":2}\n\n'


def test_a_farewell_says_when_to_come_back() -> None:
    assert farewell(1500) == b": this server stops; connect again\nretry: 1500\n\n"


async def _next_starting_with(lines: AsyncIterator[str], start: str) -> str:
    async with asyncio.timeout(5):
        async for line in lines:
            if line.startswith(start):
                return line
    raise AssertionError(f"no line starts with {start}")
