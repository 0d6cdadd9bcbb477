"""One job's event stream, opened for whoever may see it; each door shows the frames in its own words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from starlette.responses import Response

from headrace.api.deps import ApiDeps
from headrace.api.gateways.sse import EventStream, EventStreamResponse
from headrace.api.gateways.watching import Watching, find, frames, is_the_end, until, while_good
from headrace.api.tickets import Holder
from headrace.contracts.ids import JobId, Position


def _as_they_are(watching: Watching) -> Watching:
    return watching


async def open_events(
    deps: ApiDeps,
    viewer: Holder,
    job: JobId,
    *,
    after: Position,
    shown: Callable[[Watching], Watching] = _as_they_are,
) -> Response:
    """Raises Refused or JobNotFound; 204: nothing is to come."""
    viewer.must_fit(job)
    found = await find(deps, viewer.tenant, job)
    if found.terminal and await is_the_end(deps.streams, job, after):
        return Response(status_code=204)  # the one answer after which EventSource stays away
    watching: Watching = partial(frames, deps, found, after)
    if viewer.by_ticket:
        watching = until(deps.limits.ticket_session_s, watching)
    if viewer.digest or viewer.until is not None:
        watching = while_good(deps, viewer.digest, viewer.until, watching)
    return EventStreamResponse(
        EventStream(shown(watching), stopping=deps.stopping, limits=deps.limits)
    )
