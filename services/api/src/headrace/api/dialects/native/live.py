"""The live routes: one job's events, one job's socket, and the socket for many."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, WebSocket
from starlette.responses import Response

from headrace.api.arguments import ResumeFrom
from headrace.api.deps import Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.arguments import JobInPath
from headrace.api.dialects.native.errors import problem_for
from headrace.api.gateways.events import open_events
from headrace.api.gateways.websocket import Door, serve_socket
from headrace.api.tickets import Viewer

router = APIRouter(tags=["live"])


@router.get(
    "/jobs/{job}/events",
    response_class=Response,
    responses={
        200: documents.EVENTS,
        204: {"description": "You have the terminal frame already: do not reconnect."},
        **documents.problems(403, 404),
    },
)
async def get_events(deps: Deps, job: JobInPath, after: ResumeFrom, viewer: Viewer) -> Response:
    """Frames as they come, as Server-Sent Events."""
    return await open_events(deps, viewer, job, after=after)


@router.websocket("/jobs/{job}/ws")
async def job_socket(
    socket: WebSocket,
    deps: Deps,
    door: Door,
    job: str,
    after: Annotated[str | None, Query()] = None,
) -> None:
    await serve_socket(socket, deps, door, explain=problem_for, only=(job, after))


@router.websocket("/ws")
async def socket_for_many(socket: WebSocket, deps: Deps, door: Door) -> None:
    await serve_socket(socket, deps, door, explain=problem_for)
