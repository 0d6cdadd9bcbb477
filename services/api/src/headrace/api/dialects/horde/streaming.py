"""`generate/{id}/stream`: what happens to a request, as it happens, for whoever knows its id."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Final

from fastapi import Query
from starlette.responses import Response

from headrace.api.arguments import ResumeFrom
from headrace.api.deps import Deps
from headrace.api.dialects.horde.checking import IMAGES, TEXTS, VIDEOS, RequestId
from headrace.api.dialects.horde.documents import errors, routes
from headrace.api.dialects.horde.requests import jobs_of
from headrace.api.dialects.horde.schemas_asked import MOST_AT_ONCE
from headrace.api.dialects.horde.translate_forms import KINDS
from headrace.api.gateways.sse import EventStream, EventStreamResponse
from headrace.api.gateways.watching import frames, is_the_end
from headrace.core.errors import JobNotFound

router = routes()
_EVENTS: Final[dict[str, Any]] = {
    "description": (
        "Frames of one generation so far, then those to come; ends after its terminal frame. Each event has a"
        " position as `id`, to come back with, and JSON (schema `Frame`) as `data`."
    ),
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.get(
    "/generate/{id}/stream",
    response_class=Response,
    responses={
        200: _EVENTS,
        204: {"description": "You have the terminal frame already: do not reconnect."},
        **errors(404),
    },
)
async def stream_request(
    deps: Deps,
    request: RequestId,
    after: ResumeFrom,
    generation: Annotated[
        int, Query(ge=0, lt=MOST_AT_ONCE, description="Which of its `n`, counted from 0.")
    ] = 0,
) -> Response:
    """Instead of polling: tokens of a text, steps and previews of an image, as Server-Sent Events."""
    async with deps.store.begin() as tx:
        jobs = await jobs_of(tx, request, IMAGES | VIDEOS | TEXTS | KINDS)
    if generation >= len(jobs):
        raise JobNotFound(request)
    job = jobs[generation]
    if job.terminal and await is_the_end(deps.streams, job.id, after):
        return Response(status_code=204)  # the one answer after which EventSource stays away
    watching = partial(frames, deps, job, after)
    return EventStreamResponse(EventStream(watching, stopping=deps.stopping, limits=deps.limits))
