"""The live routes of runs: every stage's frames in one stream, as events and over a socket."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, WebSocket
from starlette.responses import Response

from headrace.api.deps import Deps
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.errors import problem_for
from headrace.api.dialects.native.runs import RunInPath
from headrace.api.gateways.run_events import open_run_events, run_position, run_socket
from headrace.api.gateways.websocket import Door, serve_socket
from headrace.api.tickets import Viewer

router = APIRouter(tags=["runs"])
_EVENTS: Final[dict[str, Any]] = {
    "description": (
        "The frames of every job of the run, each as `{stage, index, job, frame}` (schema `Frame`), "
        "and `run` events: state, progress and the state of each stage. "
        "Ends after the `run` event of a run that is over. An event's `id` resumes all of it."
    ),
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.get(
    "/runs/{run}/events",
    response_class=Response,
    responses={
        200: _EVENTS,
        204: {"description": "You have seen the run's end already: do not reconnect."},
        **documents.problems(403, 404),
    },
)
async def get_run_events(
    deps: Deps,
    viewer: Viewer,
    run: RunInPath,
    last_event_id: Annotated[
        str | None, Header(description="Resume after this position; wins over `after`.")
    ] = None,
    after: Annotated[str | None, Query(description="Resume after this position.")] = None,
) -> Response:
    """Every stage's frames as they come, as Server-Sent Events."""
    position = run_position(after if last_event_id is None else last_event_id)
    return await open_run_events(deps, viewer, run, after=position)


@router.websocket("/runs/{run}/ws")
async def socket_of_run(
    socket: WebSocket,
    deps: Deps,
    door: Door,
    run: str,
    after: Annotated[str | None, Query()] = None,
) -> None:
    await serve_socket(socket, deps, door, explain=problem_for, only=run_socket(deps, run, after))
