"""Old beside new behind a real nginx: a path is switched to and fro under requests, and none is lost."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace.contracts.ids import TenantId
from headrace.core.usecases.users import Welcome, user_for
from headrace.testkit.infra import tool
from headrace.testkit.system import free_port
from headrace.testkit.waits import eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]
SHIPPED = Path(__file__).parents[3] / "deploy" / "nginx"
RED = {"apikey": "key-of-red"}
SWITCH = "/api/v2/generate/async"
ASKED = {"prompt": "a fox", "params": {"n": 1}}


@dataclass(frozen=True)
class Front:
    url: str
    folder: Path
    nginx: str

    def switch(self, path: str, side: str) -> None:
        environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "RUN_NGINX": self.nginx}
        subprocess.run(  # noqa: S603  # our own argument list, no shell
            [str(self.folder / "switch.sh"), path, side],
            env=environment,
            check=True,
            capture_output=True,
        )


@pytest.fixture(autouse=True)
def generous(door: Any) -> None:
    """Red may have as many requests under way as it likes: nobody works on them here."""

    async def let_all_in() -> None:
        async with door.store.begin() as tx:
            user = await user_for(tx, TenantId("red"), Welcome())
            (account,) = await tx.accounts([user.id])
            await tx.save_user(replace(account, concurrency=100_000, floor=None))

    door.do(let_all_in())


@pytest.fixture
def front(door: Any, tmp_path: Path) -> Iterator[Front]:
    """nginx as it is shipped, with addresses of this machine."""
    binary = tool("nginx", package="nginx-light")
    shutil.copytree(SHIPPED, tmp_path / "nginx")
    folder, port, old = tmp_path / "nginx", free_port(), free_port()
    sides = (folder / "sides.conf").read_text()
    sides = sides.replace("api:8000", door.address).replace("legacy:7001", f"127.0.0.1:{old}")
    (folder / "sides.conf").write_text(sides)
    (folder / "listen.conf").write_text(f"listen 127.0.0.1:{port};\n")
    stand_in = [sys.executable, str(folder / "legacy.py"), "127.0.0.1", str(old)]
    legacy = subprocess.Popen(stand_in)  # noqa: S603
    command = [binary, "-c", f"{folder}/nginx.conf", "-e", f"{tmp_path}/error.log"]
    server = subprocess.Popen([*command, "-g", f"pid {tmp_path}/pid; daemon off;"])  # noqa: S603
    wrapper = tmp_path / "this-nginx"
    wrapper.write_text(f'#!/bin/sh\nexec {" ".join(command)} -g "pid {tmp_path}/pid;" "$@"\n')
    wrapper.chmod(0o755)
    yield Front(f"http://127.0.0.1:{port}", folder, str(wrapper))
    for process in (server, legacy):
        process.terminate()
        process.wait(timeout=10)


@dataclass
class Crowd:
    """Requesters that go on until they are told to stop; what was answered, by side."""

    http: httpx.AsyncClient
    asked: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    kept: list[tuple[str, str]] = field(default_factory=list)

    async def go_on(self) -> None:
        while not self.stop.is_set():
            answer = await self.http.post(SWITCH, json=ASKED, headers=RED)
            if answer.status_code != 202:
                self.wrong.append(f"{answer.status_code} {answer.text}")
                continue
            side, request = answer.headers["x-side"], answer.json()["id"]
            self.asked[side] += 1
            self.kept.append((side, request))
            await self.look(side, request)

    async def look(self, side: str, request: str) -> None:
        for method, path in (("GET", "check"), ("GET", "status")):
            answer = await self.http.request(method, f"/api/v2/generate/{path}/{request}")
            if answer.status_code != 200 or answer.headers["x-side"] != side:
                self.wrong.append(f"{path} of {side}: {answer.status_code} {answer.text}")


async def test_a_path_is_switched_to_new_to_old_to_new_and_no_request_is_lost(front: Front) -> None:
    async with a_client(front) as http:
        await eventually(lambda: answers(http), within=10)
        crowd = Crowd(http)
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(crowd.go_on())
            for side in ("new", "legacy", "new"):
                before = crowd.asked[side]
                await asyncio.to_thread(front.switch, SWITCH, side)
                await eventually(lambda: crowd.asked[side] >= before + 20, within=20)  # noqa: B023
            crowd.stop.set()
        for side, request in crowd.kept:  # however the switch stands now
            await crowd.look(side, request)
        _, last = crowd.kept[0]
        deleted = await http.delete(f"/api/v2/generate/status/{last}")

    assert crowd.wrong == []
    assert crowd.asked["new"] >= 40
    assert crowd.asked["legacy"] >= 20
    assert deleted.json()["done"] is True


async def test_what_nobody_switched_is_the_legacy_servers(front: Front) -> None:
    async with a_client(front) as http:
        await eventually(lambda: answers(http), within=10)
        old = await http.get("/api/v2/status/heartbeat")
        await asyncio.to_thread(front.switch, "/api/v2/status", "new")

        async def new() -> bool:
            return bool((await http.get("/api/v2/status/heartbeat")).headers["x-side"] == "new")

        await eventually(new, within=10)
        nobodys = await http.get("/api/v2/teams")

    assert (old.headers["x-side"], old.json()["version"]) == ("legacy", "legacy")
    assert nobodys.headers["x-side"] == "legacy"


def a_client(front: Front) -> httpx.AsyncClient:
    """With a connection for each request: a reload closes those that wait for the next one, and who sends on
    one in that moment has to ask again, as with every server that may close a connection."""
    alone = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=front.url, timeout=10, trust_env=False, limits=alone)


async def answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/api/v2/status/heartbeat")).is_success
    except httpx.TransportError:
        return False
