"""The live routes: one job's events, one job's socket, and the socket for many."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, WebSocket
from starlette.responses import Response

from headrace.api.arguments import ResumeFrom, Ticket
from headrace.api.deps import Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.arguments import JobInPath
from headrace.api.dialects.native.errors import problem_for
from headrace.api.gateways.events import open_events
from headrace.api.gateways.websocket import serve_socket

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
async def get_events(
    request: Request, deps: Deps, job: JobInPath, after: ResumeFrom, ticket: Ticket = None
) -> Response:
    """Frames as they come, as Server-Sent Events."""
    return await open_events(request, deps, job, after=after, ticket=ticket)


@router.websocket("/jobs/{job}/ws")
async def job_socket(
    socket: WebSocket, deps: Deps, job: str, after: Annotated[str | None, Query()] = None
) -> None:
    await serve_socket(socket, deps, explain=problem_for, only=(job, after))


@router.websocket("/ws")
async def socket_for_many(socket: WebSocket, deps: Deps) -> None:
    await serve_socket(socket, deps, explain=problem_for)
