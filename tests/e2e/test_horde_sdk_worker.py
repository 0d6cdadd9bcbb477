"""A worker made of the protocol's own client, unmodified, against a running system; see `test_horde_sdk.py`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace.testkit.environments import python_with
from headrace.testkit.horde_sdk import SDK, environment
from headrace.testkit.remote_worker import ADMIN, API, MODEL, worker_key
from headrace.testkit.system import Mode, running

WORKER = Path(__file__).with_name("horde_sdk_worker.py")
ANYBODY = {"apikey": "0000000000"}
PATIENCE_S = 90

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.timeout(180),
    pytest.mark.full,
]


async def test_the_protocols_own_worker_draws_and_writes(mode: Mode, tmp_path: Path) -> None:
    python = await python_with(SDK, tmp_path / "sdk")
    settings: dict[str, Any] = {"ADMIN_KEY": ADMIN, "ALLOW_ANONYMOUS": "true"}
    async with (
        running(mode, tmp_path, **settings) as system,
        httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=20) as http,
    ):
        key = (await worker_key(http, "owner"))["apikey"]
        worker = await asyncio.create_subprocess_exec(
            *(str(python), str(WORKER), key, MODEL),
            env=environment(system.url, tmp_path),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(PATIENCE_S):
            said = await _until_ready(worker)
            await _ask(http, "generate/async", params={"steps": 20})
            await _ask(http, "generate/text/async", params={"max_length": 20})
            rest, _ = await worker.communicate()

    assert worker.returncode == 0, said + rest.decode()


async def _ask(http: httpx.AsyncClient, path: str, **more: object) -> None:
    asked = {"prompt": "a red fox", "models": [MODEL], **more}
    answer = await http.post(f"{API}/{path}", json=asked, headers=ANYBODY)
    assert answer.status_code == 202, answer.text


async def _until_ready(worker: asyncio.subprocess.Process) -> str:
    """What it says until then, which is much, or all that it said before it left."""
    assert worker.stdout is not None
    said = ""
    async for line in worker.stdout:
        said += line.decode()
        if line == b"ready\n":
            break
    return said
