"""One job's event stream, opened for whoever may see it; each door shows the frames in its own words."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from headrace.api.deps import ApiDeps
from headrace.api.gateways.sse import EventStream, EventStreamResponse
from headrace.api.gateways.watching import find, frames, is_the_end, until
from headrace.api.tickets import Holder, redeem
from headrace.contracts.frames import Entry
from headrace.contracts.ids import JobId, Position

Batches: TypeAlias = AsyncGenerator[Sequence[Entry]]


async def open_events(  # what a stream is opened with, each by its name
    request: Request,
    deps: ApiDeps,
    job: JobId,
    *,
    after: Position,
    ticket: str | None,
    shown: Callable[[Batches], Batches] = lambda batches: batches,
) -> Response:
    """By the key in the headers, or by a ticket. Raises Refused or JobNotFound; 204: nothing is to come."""
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
    return EventStreamResponse(
        EventStream(shown(batches), stopping=deps.stopping, limits=deps.limits)
    )
