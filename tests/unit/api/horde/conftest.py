"""An api with engines that draw and write announced, and clients that speak the protocol strictly."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from headrace.contracts.ids import Lane
from headrace.core.ports.store import Store
from headrace.engines.image.engine import EmojiFlowEngine
from headrace.engines.registry import card
from headrace.engines.text.smollm2 import SmolLm2Engine

ANONYMOUS = {"apikey": "0000000000"}
IMAGE_MODEL, TEXT_MODEL = "emoji-flow", "smollm2-135m-instruct"


@pytest.fixture(autouse=True)
async def engines(store: Store) -> None:
    """The two that Headrace ships, as their workers say hello."""
    async with store.begin() as tx:
        await tx.announce_engines(
            [
                card(Lane("emoji-flow"), EmojiFlowEngine),
                card(Lane("smollm2"), SmolLm2Engine),
            ]
        )


class Requester:
    """A client of the protocol. Every refusal it meets has the protocol's form."""

    def __init__(self, http: httpx.AsyncClient, key: dict[str, str]) -> None:
        self.http, self.key = http, key

    async def ask(
        self, path: str, body: Any, status: int = 202, headers: dict[str, str] | None = None
    ) -> Any:
        shown = {**self.key, **(headers or {})}
        answer = await self.http.post(f"/api/v2/{path}", json=body, headers=shown)
        return _json(answer, status)

    async def get(self, path: str, status: int = 200) -> Any:
        """Without a key: the id is enough."""
        return _json(await self.http.get(f"/api/v2/{path}"), status)

    async def delete(self, path: str, status: int = 200) -> Any:
        return _json(await self.http.delete(f"/api/v2/{path}"), status)


def _json(answer: httpx.Response, status: int) -> Any:
    assert answer.headers["content-type"] == "application/json"
    assert answer.status_code == status, answer.text
    body = answer.json()
    if status >= 400:
        assert isinstance(body["message"], str)
        assert isinstance(body["rc"], str)
    return body


@pytest.fixture
def requester(http: httpx.AsyncClient) -> Requester:
    return Requester(http, ANONYMOUS)
