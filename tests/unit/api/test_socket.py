"""WebSocket: many jobs on one socket, each frame once; who may connect, and what may be said."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from headrace.api.gateways.origins import is_allowed
from headrace.contracts.frames import Token
from headrace.testkit.waits import eventually

RED, BLUE = {"apikey": "key-of-red"}, {"apikey": "key-of-blue"}


async def say(socket: ClientConnection, **message: str) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(5):
        heard: dict[str, Any] = json.loads(await socket.recv())
    return heard


async def closed_with(socket: ClientConnection) -> int:
    async with asyncio.timeout(5):
        await socket.wait_closed()
    assert socket.close_code is not None
    return socket.close_code


async def another(http: Any) -> str:
    asked = {"kind": "echo", "input": {"text": "b"}}
    return str((await http.post("/jobs", json=asked, headers=RED)).json()["id"])


async def test_frames_come_with_their_job_and_position(
    server: Any, submitted: str, backstage: Any
) -> None:
    async with connect(f"ws://{server.address}/ws", additional_headers=RED) as socket:
        await say(socket, subscribe=submitted)
        await backstage.start(submitted)
        queued, started = await hear(socket), await hear(socket)
        await backstage.say(submitted, Token("a"))
        token = await hear(socket)

    assert queued["frame"] == {"type": "queued"}
    assert started == {
        "job": submitted,
        "id": "1-1",
        "frame": {"type": "started", "worker": "w1", "attempt": 1},
    }
    assert token == {"job": submitted, "id": "1-2", "frame": {"type": "token", "text": "a"}}


async def test_one_socket_follows_many_jobs(
    server: Any, http: Any, submitted: str, backstage: Any
) -> None:
    other = await another(http)
    async with connect(f"ws://{server.address}/ws", additional_headers=RED) as socket:
        await say(socket, subscribe=submitted)
        await say(socket, subscribe=other)
        await backstage.start(other)
        await backstage.start(submitted)

        heard = [await hear(socket) for _ in range(4)]

    assert {each["job"] for each in heard} == {submitted, other}


async def test_a_subscription_resumes_after_a_position(
    server: Any, submitted: str, backstage: Any
) -> None:
    await backstage.start(submitted)
    await backstage.say(submitted, Token("a"), Token("b"))
    async with connect(f"ws://{server.address}/ws", additional_headers=RED) as socket:
        await say(socket, subscribe=submitted, after="1-2")

        heard = await hear(socket)

    assert heard["id"] == "1-3"


async def test_no_frame_comes_after_unsubscribing(
    server: Any, http: Any, submitted: str, backstage: Any
) -> None:
    other = await another(http)
    async with connect(f"ws://{server.address}/ws", additional_headers=RED) as socket:
        await say(socket, subscribe=submitted)
        await backstage.start(submitted)
        assert [(await hear(socket))["id"] for _ in range(2)] == ["0-1", "1-1"]
        await say(socket, unsubscribe=submitted)
        await say(socket, subscribe="mark")
        await hear(socket)  # the answer to the mark: all before it has been done

        await backstage.say(submitted, Token("unheard"))
        await say(socket, subscribe=other)
        await backstage.start(other)

        assert (await hear(socket))["job"] == other


async def test_a_socket_asks_for_a_cancel(
    server: Any, http: Any, submitted: str, deps: Any
) -> None:
    async def asked() -> bool:
        async with deps.store.begin() as tx:
            job = await tx.find("red", submitted)
        return job.cancel_asked_at is not None

    async with connect(f"ws://{server.address}/ws", additional_headers=RED) as socket:
        await say(socket, cancel=submitted)
        assert await eventually(asked)


@pytest.mark.parametrize(
    ("message", "slug"),
    [
        ("{", "malformed"),
        ("[]", "malformed"),
        ("{}", "malformed"),
        ('{"shout": "a"}', "malformed"),
        ('{"subscribe": 1}', "malformed"),
        ('{"subscribe": "a", "cancel": "a"}', "malformed"),
        ("[" * 5000, "malformed"),
        ('{"subscribe": "a"}', "no-such-job"),
        ('{"subscribe": "6f9619ff-8b86-4011-b42d-00c04fc964ff"}', "no-such-job"),
        ('{"cancel": "6f9619ff-8b86-4011-b42d-00c04fc964ff"}', "no-such-job"),
        ('{"subscribe": "6f9619ff-8b86-4011-b42d-00c04fc964ff", "after": "x"}', "bad-position"),
        ('{"authorization": "wrong"}', "unauthorized"),
    ],
)
async def test_a_bad_message_is_answered_and_the_socket_goes_on(
    server: Any, submitted: str, backstage: Any, message: str, slug: str
) -> None:
    async with connect(f"ws://{server.address}/ws", additional_headers=RED) as socket:
        await socket.send(message)
        error = (await hear(socket))["error"]
        await say(socket, subscribe=submitted)
        await backstage.start(submitted)
        after = await hear(socket)

    assert error["type"] == f"urn:headrace:problem:{slug}"
    assert after["frame"]["type"] == "queued"


async def test_a_huge_message_closes_the_socket(server: Any) -> None:
    async with connect(f"ws://{server.address}/ws") as socket:
        await socket.send("x" * 70_000)

        assert await closed_with(socket) == 1009


async def test_a_socket_follows_only_so_many_jobs(server: Any, http: Any, submitted: str) -> None:
    jobs = [submitted, await another(http), await another(http)]
    async with connect(f"ws://{server.address}/ws", additional_headers=RED) as socket:
        for job in jobs:
            await say(socket, subscribe=job)

        refused = await hear(socket)

    assert refused["job"] == jobs[2]
    assert refused["error"]["type"].endswith(":too-many-subscriptions")


async def test_subscribing_again_starts_over(server: Any, submitted: str, backstage: Any) -> None:
    await backstage.start(submitted)
    async with connect(f"ws://{server.address}/ws", additional_headers=RED) as socket:
        for _ in range(5):
            await say(socket, subscribe=submitted)
            assert [(await hear(socket))["id"] for _ in range(2)] == ["0-1", "1-1"]


async def test_a_socket_of_one_job_closes_at_its_end(
    server: Any, submitted: str, backstage: Any
) -> None:
    await backstage.start(submitted)
    url = f"ws://{server.address}/jobs/{submitted}/ws?after=1-1"
    async with connect(url, additional_headers=RED) as socket:
        await backstage.finish(submitted, {"text": "A"})

        assert (await hear(socket))["frame"] == {"type": "succeeded", "result": {"text": "A"}}
        assert await closed_with(socket) == 1000


async def test_a_socket_of_no_job_says_so_and_closes(server: Any) -> None:
    async with connect(f"ws://{server.address}/jobs/none/ws") as socket:
        assert (await hear(socket))["error"]["status"] == 404
        assert await closed_with(socket) == 1008


async def test_another_tenants_job_is_no_job(server: Any, submitted: str) -> None:
    async with connect(f"ws://{server.address}/ws", additional_headers=BLUE) as socket:
        await say(socket, subscribe=submitted)
        seen = await hear(socket)
        await say(socket, cancel=submitted)
        cancelled = await hear(socket)

    assert seen["error"]["status"] == cancelled["error"]["status"] == 404


async def test_a_wrong_key_is_refused_at_the_handshake(server: Any) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await connect(f"ws://{server.address}/ws", additional_headers={"apikey": "wrong"})

    assert refused.value.response.status_code == 401


async def test_a_page_of_another_origin_is_refused(server: Any) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await connect(f"ws://{server.address}/ws", origin="http://evil.example")  # type: ignore[arg-type]

    assert refused.value.response.status_code == 403


async def test_our_own_page_may_connect(server: Any) -> None:
    origin: Any = f"http://{server.address}"
    async with connect(f"ws://{server.address}/ws", origin=origin) as socket:
        await say(socket, subscribe="mark")

        assert (await hear(socket))["error"]["status"] == 404


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"host": "a.example"}, True),
        ({"host": "a.example", "origin": "https://a.example"}, True),
        ({"host": "a.example:8000", "origin": "http://A.example:8000"}, True),
        ({"host": "a.example:8000", "origin": "http://a.example"}, False),
        ({"host": "a.example", "origin": "https://b.example"}, True),
        ({"host": "a.example", "origin": "http://b.example"}, False),
        ({"host": "a.example", "origin": "null"}, False),
        ({"host": "", "origin": "null"}, False),
        ({"host": "a.example", "origin": "http://["}, False),
    ],
)
def test_origins_are_ours_or_listed(headers: dict[str, str], allowed: bool) -> None:
    assert is_allowed(headers, {"https://b.example"}) is allowed


async def test_a_stopping_server_closes_with_service_restart(server: Any, submitted: str) -> None:
    async with connect(f"ws://{server.address}/ws", additional_headers=RED) as socket:
        await say(socket, subscribe=submitted)
        server.stop.set()

        assert await closed_with(socket) == 1012
