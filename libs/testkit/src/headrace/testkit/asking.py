"""OpenAI's API in a test: engines to ask, somebody who does what is asked, and what came back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx

from headrace.api.deps import ApiDeps
from headrace.api.gateways.race import race
from headrace.contracts.frames import Token
from headrace.contracts.ids import Lane, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.ports.store import Query, Store
from headrace.testkit.apps import create_app

RED = {"apikey": "key-of-red"}
CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
IMAGES = "/v1/images/generations"
HELLO = [{"role": "user", "content": "hello"}]
USAGE = {"prompt_tokens": 3, "completion_tokens": 2}
SOUP = {"text": "soup", "finish_reason": "stop", "usage": USAGE}
TALL = {"model": "tall/er", "messages": HELLO}
A_NUMBER = {"type": "integer", "minimum": 1, "maximum": 100}
WRITER = EngineCard(
    lane=Lane("writer"),
    kind="text",
    models=["tall/er", "small"],
    input_schema={
        "type": "object",
        "properties": {
            "messages": {"type": "array"},
            "prompt": {"type": "string"},
            "raw": {"type": "boolean"},
            "max_tokens": {"anyOf": [A_NUMBER, {"type": "null"}]},
            "temperature": {"type": "number"},
            "seed": {"type": "integer"},
            "stop": {"type": "array"},
        },
        "additionalProperties": False,
    },
)
BASIC = EngineCard(
    lane=Lane("basic"),
    kind="text",
    models=["basic"],
    input_schema={
        "type": "object",
        "properties": {"messages": {"type": "array"}},
        "additionalProperties": False,
    },
)
READER = EngineCard(
    lane=Lane("reader"),
    kind="embedding",
    models=["reader"],
    input_schema={
        "type": "object",
        "properties": {"texts": {"type": "array", "maxItems": 2}},
        "additionalProperties": False,
    },
)
PAINTER = EngineCard(
    lane=Lane("painter"),
    kind="image",
    models=["painter"],
    input_schema={
        "type": "object",
        "properties": {"prompt": {"type": "string"}, "size": {"enum": ["native", 128, 256]}},
        "additionalProperties": False,
    },
)
CARDS = (WRITER, BASIC, READER, PAINTER)


def client_of(deps: ApiDeps) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(deps), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://headrace", headers=RED)


async def jobs_of(store: Store, tenant: str = "red") -> list[Any]:
    """In the order in which they were asked for."""
    async with store.begin() as tx:
        found = await tx.page(TenantId(tenant), Query(limit=100))
    return sorted(found, key=lambda job: job.spec.input.get("seed", 0))


class Worker:
    """Ends every job that comes, as `make` says by its input."""

    def __init__(
        self, asked: asyncio.Queue[Any], backstage: Any, make: Callable[[Any], Any]
    ) -> None:
        self._asked, self._backstage, self._make = asked, backstage, make

    async def work(self, stop: asyncio.Event) -> None:
        await race(self._work(), stop.wait())

    async def _work(self) -> None:
        while True:
            await self._do(await self._asked.get())

    async def _do(self, job: Any) -> None:
        made = self._make(job.spec.input)
        await self._backstage.start(job.id)
        if "error" in made:
            await self._backstage.fail(job.id, made["error"])
            return
        for word in made.get("text", "").split("|"):
            await self._backstage.say(job.id, Token(word))
        output = {**made, **({"text": made["text"].replace("|", "")} if "text" in made else {})}
        await self._backstage.finish(job.id, output)


def soup(given: Any) -> Any:
    return {**SOUP, "text": "so|up"}


def chunks_of(answer: httpx.Response) -> list[Any]:
    """Each event's data."""
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    found = []
    for block in answer.text.split("\n\n"):
        for line in block.split("\n"):
            if line.startswith("data: "):
                data = line.removeprefix("data: ")
                found.append(data if data == "[DONE]" else json.loads(data))
    return found


def error_of(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return answer.status_code, error["code"], error["param"]
