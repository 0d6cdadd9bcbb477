"""The composed system, once per module and mode, and a user of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import cast

import httpx
import pytest
import pytest_asyncio

from headrace.testkit.client import User
from headrace.testkit.system import MODES, Mode, System, running


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    return cast("Mode", request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    async with running(mode, tmp_path_factory.mktemp(mode), SLOTS="echo=2") as system:
        yield system


@pytest_asyncio.fixture(loop_scope="module")
async def user(system: System) -> AsyncGenerator[User]:
    async with httpx.AsyncClient(
        base_url=system.url, headers=system.auth, trust_env=False, timeout=20
    ) as http:
        yield User(http)
