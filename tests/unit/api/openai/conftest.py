"""An api with engines that OpenAI's clients may ask, and somebody who does what they ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from headrace.api.deps import ApiDeps
from headrace.testkit.asking import CARDS, Worker, client_of
from headrace.testkit.background import served


@pytest.fixture
def asked() -> asyncio.Queue[Any]:
    """Jobs that were submitted, for who does them."""
    return asyncio.Queue()


@pytest.fixture
async def deps(deps: ApiDeps, asked: asyncio.Queue[Any]) -> ApiDeps:
    async with deps.store.begin() as tx:
        await tx.announce_engines(CARDS)
    return replace(
        deps,
        limits=replace(deps.limits, answer_s=5.0),
        on_submitted=lambda each: None if each.replayed else asked.put_nowait(each.job),
    )


@pytest.fixture
async def http(deps: ApiDeps) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(deps) as client:
        yield client


@pytest.fixture
async def working(
    asked: asyncio.Queue[Any], backstage: Any, request: pytest.FixtureRequest
) -> AsyncGenerator[None]:
    """Parametrized by what it makes of an input."""
    async with served(Worker(asked, backstage, request.param).work):
        yield
