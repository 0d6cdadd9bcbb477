"""A client that takes nothing costs a bounded buffer for a bounded time, and delays nobody."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from headrace.contracts.frames import Token
from headrace.testkit.apps import create_app
from headrace.testkit.waits import eventually

RED = {"apikey": "key-of-red"}
LOUD = [Token("x" * 2_000) for _ in range(9_000)]  # more than sockets and buffers hold


@pytest.fixture
def app(deps: Any) -> Any:
    return create_app(replace(deps, limits=replace(deps.limits, send_s=0.3)))


@asynccontextmanager
async def not_reading(server: Any, request: str) -> AsyncIterator[socket.socket]:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((server.role.host, server.role.port))
        client.sendall(request.encode())
        yield client


def get(path: str, server: Any, *more: str) -> str:
    lines = [f"GET {path} HTTP/1.1", f"Host: {server.address}", "apikey: key-of-red", *more]
    return "\r\n".join([*lines, "", ""])


async def test_a_reader_of_events_that_takes_nothing_is_let_go(
    server: Any, submitted: str, backstage: Any, streams: Any
) -> None:
    await backstage.start(submitted)
    async with not_reading(server, get(f"/jobs/{submitted}/events", server)):
        await eventually(lambda: submitted in streams._watchers)
        await backstage.say(submitted, *LOUD)

        await eventually(lambda: submitted not in streams._watchers)


async def test_a_socket_that_takes_nothing_is_let_go(
    server: Any, submitted: str, backstage: Any, streams: Any
) -> None:
    upgrade = get(
        f"/jobs/{submitted}/ws", server, "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )  # fmt: skip
    await backstage.start(submitted)
    async with not_reading(server, upgrade):
        await eventually(lambda: submitted in streams._watchers)
        await backstage.say(submitted, *LOUD)

        await eventually(lambda: submitted not in streams._watchers)


async def test_others_are_served_meanwhile(
    server: Any, live: httpx.AsyncClient, submitted: str, backstage: Any, streams: Any
) -> None:
    await backstage.start(submitted)
    async with not_reading(server, get(f"/jobs/{submitted}/events", server)):
        await eventually(lambda: submitted in streams._watchers)
        await backstage.say(submitted, *LOUD)
        await backstage.finish(submitted, {"text": "a"})

        async with asyncio.timeout(20):
            answer = await live.get(f"/jobs/{submitted}/events", headers=RED)

    ends = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert len(ends) == len(LOUD) + 3
    assert ends[-1]["type"] == "succeeded"
