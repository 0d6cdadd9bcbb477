"""The api as a role: it takes the port it is given, says so, and stops when told."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import httpx
import pytest

from headrace.api.role import Api
from headrace.core.errors import Misconfigured


async def test_a_free_port_is_found_and_told(server: Any) -> None:
    assert server.role.port != 0
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"http://{server.address}/livez")).text == "ok\n"


async def test_a_taken_port_is_told_in_plain_words(app: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(Misconfigured) as refused:
            await Api(app, host="127.0.0.1", port=port).serve(asyncio.Event())

    assert str(refused.value) == (
        f"Port {port} on 127.0.0.1 is taken by another program. "
        f"Stop it, or choose another port: PORT={port + 1}."
    )


async def test_an_address_that_is_not_ours_is_told(app: Any) -> None:
    with pytest.raises(Misconfigured, match="HOST"):
        await Api(app, host="203.0.113.1", port=0).serve(asyncio.Event())


async def test_signals_stay_with_the_process(server: Any) -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_it_leaves_when_told(app: Any, deps: Any) -> None:
    role, stop = Api(app, host="127.0.0.1", port=0), asyncio.Event()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(role.serve(stop))
        await role.bound.wait()
        stop.set()

    assert deps.stopping.is_set()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(role.host, role.port)
