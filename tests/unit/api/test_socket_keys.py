"""Where a key is needed and the handshake had none, the first message brings it, soon."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from headrace.api.auth import Keys
from headrace.testkit.apps import create_app

RED = {"apikey": "key-of-red"}


@pytest.fixture
def app(deps: Any) -> Any:
    limits = replace(deps.limits, authorization_s=0.2)
    return create_app(
        replace(deps, auth=Keys({"red": RED["apikey"]}, anonymous=None), limits=limits)
    )


async def say(socket: ClientConnection, **message: str) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(5):
        heard: dict[str, Any] = json.loads(await socket.recv())
    return heard


async def closed_with(socket: ClientConnection) -> int | None:
    async with asyncio.timeout(5):
        await socket.wait_closed()
    return socket.close_code


async def test_a_keyed_server_takes_the_key_as_first_message(
    server: Any, submitted: str, backstage: Any
) -> None:
    async with connect(f"ws://{server.address}/ws") as socket:
        await say(socket, authorization=RED["apikey"])
        await say(socket, subscribe=submitted)
        await backstage.start(submitted)

        assert (await hear(socket))["job"] == submitted


async def test_a_keyed_server_closes_on_a_wrong_key(server: Any) -> None:
    async with connect(f"ws://{server.address}/ws") as socket:
        await say(socket, authorization="wrong")

        assert (await hear(socket))["error"]["status"] == 401
        assert await closed_with(socket) == 1008


async def test_a_keyed_server_does_not_wait_for_ever(server: Any) -> None:
    async with connect(f"ws://{server.address}/ws") as socket:
        assert "authorization" in (await hear(socket))["error"]["detail"]
        assert await closed_with(socket) == 1008


async def test_a_keyed_server_does_nothing_before_the_key(server: Any) -> None:
    async with connect(f"ws://{server.address}/ws") as socket:
        await say(socket, subscribe="6f9619ff-8b86-4011-b42d-00c04fc964ff")

        assert (await hear(socket))["error"]["status"] == 400
        assert await closed_with(socket) == 1008


async def test_a_keyed_server_takes_the_key_of_the_handshake(server: Any) -> None:
    async with connect(f"ws://{server.address}/ws", additional_headers=RED) as socket:
        await say(socket, subscribe="mark")

        assert (await hear(socket))["error"]["status"] == 404
