"""What the official client sent once is answered as it was then; `tests/e2e/openai_client` recorded it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from headrace.api.auth import Keys
from headrace.api.deps import ApiDeps
from headrace.api.gateways.race import race
from headrace.contracts.ids import Lane, TenantId
from headrace.core.ports.blobs import Blob
from headrace.engines.embedding.minilm import MiniLmEngine
from headrace.engines.image.engine import EmojiFlowEngine
from headrace.engines.registry import card
from headrace.engines.text.smollm2 import SmolLm2Engine
from headrace.testkit.apps import create_app
from headrace.testkit.background import served

GOLDEN: Final = Path(__file__).parents[3] / "golden" / "openai" / "exchange.json"
EXCHANGE: Final = json.loads(GOLDEN.read_text())
CARDS: Final = [
    card(Lane("smollm2"), SmolLm2Engine),
    card(Lane("minilm"), MiniLmEngine),
    card(Lane("emoji-flow"), EmojiFlowEngine),
]


@pytest.fixture
async def client(deps: ApiDeps, backstage: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """Of an api with the cards of real engines, and somebody who does what is asked of them."""
    asked: asyncio.Queue[Any] = asyncio.Queue()
    blob = await deps.blobs.put(TenantId("red"), Blob("image/png", b"\x89PNG"))
    async with deps.store.begin() as tx:
        await tx.announce_engines(CARDS)

    async def do_all() -> None:
        while True:
            job = await asked.get()
            vectors = [[0.5]] * len(job.spec.input.get("texts", ()))
            await backstage.start(job.id)
            made = {"text": "soup", "embeddings": vectors, "image": {"blob": blob}}
            await backstage.finish(job.id, made)

    async def work(stop: asyncio.Event) -> None:
        await race(do_all(), stop.wait())

    app = create_app(
        replace(
            deps,
            auth=Keys({"red": "key-of-red"}, anonymous=None),
            on_submitted=lambda submitted: asked.put_nowait(submitted.job),
        )
    )
    async with (
        served(work),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://headrace") as client,
    ):
        yield client


@pytest.mark.parametrize(
    "sent", EXCHANGE, ids=[f"{nth} {each['call']}" for nth, each in enumerate(EXCHANGE)]
)
async def test_it_is_answered_as_it_was(client: httpx.AsyncClient, sent: dict[str, Any]) -> None:
    method, path = sent["call"].split()
    key = "nobody-has-this-key" if sent["status"] == 401 else "key-of-red"

    answer = await client.request(
        method, path, json=sent["body"], headers={"Authorization": f"Bearer {key}"}
    )

    assert answer.status_code == sent["status"], answer.text
