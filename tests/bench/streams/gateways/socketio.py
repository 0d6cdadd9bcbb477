"""python-socketio as its documentation has it: an ASGI server with a Redis manager, a room for each job."""

from __future__ import annotations

import sys

import socketio  # type: ignore[import-untyped]  # it has no types
import uvicorn


def application(redis: str, prefix: str) -> socketio.ASGIApp:
    server = socketio.AsyncServer(
        async_mode="asgi",
        client_manager=socketio.AsyncRedisManager(redis, channel=prefix),
        ping_interval=3600,  # the bench's clients answer a WebSocket's pings, not its own
    )

    @server.event  # type: ignore[untyped-decorator]  # it has no types
    async def watch(sid: str, job: str) -> None:
        await server.enter_room(sid, job)

    return socketio.ASGIApp(server)


if __name__ == "__main__":
    uvicorn.run(
        application(sys.argv[2], sys.argv[3]),
        port=int(sys.argv[1]),
        log_level="error",
        backlog=2048,
        ws_per_message_deflate=False,
    )
