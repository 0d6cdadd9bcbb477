"""One job's event stream, opened for whoever may see it; each door shows the frames in its own words."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TypeAlias

from starlette.responses import Response

from headrace.api.deps import ApiDeps
from headrace.api.gateways.sse import EventStream, EventStreamResponse
from headrace.api.gateways.watching import find, frames, is_the_end, until, while_good
from headrace.api.tickets import Holder
from headrace.contracts.frames import Entry
from headrace.contracts.ids import JobId, Position

Batches: TypeAlias = AsyncGenerator[Sequence[Entry]]


async def open_events(
    deps: ApiDeps,
    viewer: Holder,
    job: JobId,
    *,
    after: Position,
    shown: Callable[[Batches], Batches] = lambda batches: batches,
) -> Response:
    """Raises Refused or JobNotFound; 204: nothing is to come."""
    viewer.must_fit(job)
    found = await find(deps, viewer.tenant, job)
    if found.terminal and await is_the_end(deps.streams, job, after):
        return Response(status_code=204)  # the one answer after which EventSource stays away
    batches = frames(deps, found, after=after)
    if viewer.by_ticket:
        batches = until(batches, deps.limits.ticket_session_s)
    if viewer.digest or viewer.until is not None:
        batches = while_good(deps, viewer.digest, viewer.until, batches)
    return EventStreamResponse(
        EventStream(shown(batches), stopping=deps.stopping, limits=deps.limits)
    )
