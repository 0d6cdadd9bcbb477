"""A sketch of the usual way: Starlette, and a Redis connection with a subscription for each client."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator

import uvicorn
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
from tests.bench.streams.wire import event

from headrace.contracts.logs import read_message


def application(redis: Redis, prefix: str) -> Starlette:
    async def frames(job: str) -> AsyncGenerator[bytes]:
        async with redis.pubsub() as subscription:
            await subscription.subscribe(f"{prefix}:{{{job}}}:live")
            async for message in subscription.listen():
                if message["type"] == "subscribe":
                    yield b": hello\n\n"
                else:
                    for entry in read_message(message["data"]):
                        yield event(entry.position.seq, entry.type.encode(), entry.data)

    async def events(request: Request) -> StreamingResponse:
        return StreamingResponse(frames(request.path_params["job"]), media_type="text/event-stream")

    return Starlette(routes=[Route("/jobs/{job}/events", events)])


if __name__ == "__main__":
    client = Redis.from_url(sys.argv[2], max_connections=10_000)
    uvicorn.run(
        application(client, sys.argv[3]), port=int(sys.argv[1]), log_level="error", backlog=2048
    )
