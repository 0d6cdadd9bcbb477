"""The live routes: one job's events, one job's socket, and the socket for many."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Query, Request, WebSocket
from starlette.responses import Response

from headrace.api.deps import Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.arguments import JobInPath, ResumeFrom
from headrace.api.dialects.native.errors import problem_for
from headrace.api.gateways.sse import EventStream, EventStreamResponse
from headrace.api.gateways.watching import find, frames, is_the_end, until
from headrace.api.gateways.websocket import serve_socket
from headrace.api.tickets import Holder, redeem

router = APIRouter(tags=["live"])

Ticket: TypeAlias = Annotated[
    str | None, Query(max_length=100, description="Of `POST /tickets`, instead of a key.")
]


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
    holder = (
        Holder(deps.auth.admit(request.headers)) if ticket is None else await redeem(deps, ticket)
    )
    holder.must_fit(job)
    found = await find(deps, holder.tenant, job)
    if found.terminal and await is_the_end(deps.streams, job, after):
        return Response(status_code=204)  # the one answer after which EventSource stays away
    batches = frames(deps, found, after=after)
    if ticket is not None:
        batches = until(batches, deps.limits.ticket_session_s)
    return EventStreamResponse(EventStream(batches, stopping=deps.stopping, limits=deps.limits))


@router.websocket("/jobs/{job}/ws")
async def job_socket(
    socket: WebSocket, deps: Deps, job: str, after: Annotated[str | None, Query()] = None
) -> None:
    await serve_socket(socket, deps, explain=problem_for, only=(job, after))


@router.websocket("/ws")
async def socket_for_many(socket: WebSocket, deps: Deps) -> None:
    await serve_socket(socket, deps, explain=problem_for)
