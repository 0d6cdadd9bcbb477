"""A proxy that writes down what a client and a server say to each other, to be played again without the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from typing_extensions import override

from headrace.testkit.background import served
from headrace.testkit.system import free_port
from headrace.testkit.waits import eventually

_ASKED: Final = ("apikey", "client_agent", "client-agent", "content-type")
_LONGEST: Final = 300  # characters of a text that are kept
_HOP: Final = frozenset({"transfer-encoding", "connection", "content-length", "content-encoding"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """A body is its JSON, or how long it was."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int
    media_type: str
    answer: Any


@dataclass(slots=True)
class Recording:
    url: str
    exchanges: list[Exchange] = field(default_factory=list)


@asynccontextmanager
async def recording(server: str) -> AsyncGenerator[Recording]:
    """In front of `server`, on a port of its own."""
    port = free_port()
    recorded = Recording(f"http://127.0.0.1:{port}")
    async with httpx.AsyncClient(base_url=server, trust_env=False, timeout=30) as upstream:

        async def relay(request: Request) -> Response:
            return await _relay(request, upstream, recorded)

        methods = ["GET", "POST", "PUT", "DELETE"]
        app = Starlette(routes=[Route("/{rest:path}", relay, methods=methods)])
        proxy = _Server(uvicorn.Config(app, port=port, log_level="warning", lifespan="off"))

        async def serve(stop: asyncio.Event) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(proxy.serve())
                await stop.wait()
                proxy.should_exit = True

        async with served(serve):
            await eventually(lambda: proxy.started, within=10)
            yield recorded


class _Server(uvicorn.Server):
    @override
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield  # they are the test run's


async def _relay(request: Request, upstream: httpx.AsyncClient, recorded: Recording) -> Response:
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    body = await request.body()
    answer = await upstream.request(
        request.method, target, content=body, headers=dict(request.headers)
    )
    recorded.exchanges.append(
        Exchange(
            method=request.method,
            path=target,
            headers={k: v for k, v in request.headers.items() if k in _ASKED},
            body=_readable(request.headers.get("content-type", ""), body),
            status=answer.status_code,
            media_type=answer.headers.get("content-type", ""),
            answer=_readable(answer.headers.get("content-type", ""), answer.content),
        )
    )
    headers = {k: v for k, v in answer.headers.items() if k not in _HOP}
    return Response(answer.content, answer.status_code, headers)


def _readable(media_type: str, body: bytes) -> Any:
    if media_type.startswith("application/json") and body:
        return _brief(msgspec.json.decode(body))
    return len(body)


def _brief(value: Any) -> Any:
    """Without what would only make a file long."""
    match value:
        case str():
            return value[:_LONGEST]
        case dict():
            return {name: _brief(each) for name, each in value.items()}
        case list():
            return [_brief(each) for each in value]
        case _:
            return value
