"""A sketch of the other usual way: Starlette, and a question to the database every 100 ms for each client."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
from tests.bench.streams.wire import event

EVERY_S: Final = 0.1


def application(url: str) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with asyncpg.create_pool(url, min_size=10, max_size=10) as pool:
            app.state.pool = pool
            yield

    async def frames(app: Starlette, job: str) -> AsyncGenerator[bytes]:
        cursor = 0
        yield b": hello\n\n"
        while True:
            rows = await app.state.pool.fetch(
                "SELECT seq, data FROM bench_frames WHERE job = $1 AND seq > $2 ORDER BY seq",
                job,
                cursor,
            )
            for row in rows:
                cursor = row["seq"]
                yield event(cursor, b"token", row["data"])
            await asyncio.sleep(EVERY_S)

    async def events(request: Request) -> StreamingResponse:
        return StreamingResponse(
            frames(request.app, request.path_params["job"]), media_type="text/event-stream"
        )

    return Starlette(routes=[Route("/jobs/{job}/events", events)], lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[2]), port=int(sys.argv[1]), log_level="error", backlog=2048)
