"""A run's stream as Server-Sent Events, and as the messages of a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Final

from starlette.responses import Response

from headrace.api.addresses import uuid_or_none
from headrace.api.deps import ApiDeps
from headrace.api.gateways.run_watching import Look, RunEntry, is_the_end, look, run_frames
from headrace.api.gateways.sse import OURS, EventStream, EventStreamResponse
from headrace.api.gateways.watching import Batches, Watching, until, while_good
from headrace.api.gateways.websocket import Opening
from headrace.api.problems import bad_position
from headrace.api.tickets import Holder
from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, JobId, RunId
from headrace.core.errors import RunNotFound
from headrace.core.ports.streams import Take
from headrace.core.run_position import RunPosition, parse


def run_position(text: str | None) -> RunPosition:
    """Raises Refused."""
    try:
        return parse(text)
    except ValueError as error:
        raise bad_position(str(error)) from error


async def open_run_events(
    deps: ApiDeps, viewer: Holder, run: RunId, *, after: RunPosition
) -> Response:
    """Raises Refused or RunNotFound; 204: nothing is to come."""
    viewer.must_fit(JobId(run))
    found = await look(deps, viewer.tenant, run)
    if found is None:
        raise RunNotFound(run)
    if is_the_end(found, after):
        return Response(status_code=204)
    watching: Watching = partial(_written, deps, found, after)
    if viewer.by_ticket:
        watching = until(deps.limits.ticket_session_s, watching)
    if viewer.digest or viewer.until is not None:
        watching = while_good(deps, viewer.digest, viewer.until, watching)
    return EventStreamResponse(
        EventStream(watching, stopping=deps.stopping, limits=deps.limits, wording=_WORDING)
    )


def _joined(batch: Sequence[Entry]) -> bytes:
    return b"".join(entry.data for entry in batch)


# Of a run's stream an entry is an event that is written out: its position is no job's.
_WORDING: Final = replace(OURS, events=_joined, live=_joined)


def run_socket(deps: ApiDeps, run: str, after: str | None) -> Opening:
    """What a socket says of a run."""

    async def opening(viewer: Holder) -> AsyncGenerator[Sequence[bytes]]:
        id_, position = uuid_or_none(run), run_position(after)
        if id_ is None:
            raise RunNotFound(run[:64])
        viewer.must_fit(JobId(id_))
        found = await look(deps, viewer.tenant, RunId(id_))
        if found is None:
            raise RunNotFound(id_)
        return _spliced(id_, run_frames(deps, found, after=position))

    return opening


async def _written(deps: ApiDeps, found: Look, after: RunPosition, tell: Take) -> Batches:  # noqa: ARG001  # all of it comes in batches
    async with aclosing(run_frames(deps, found, after=after)) as batches:
        async for batch in batches:
            yield [Entry(position=START, type=each.type, data=_event(each)) for each in batch]


def _event(entry: RunEntry) -> bytes:
    data = entry.data
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (entry.position.encode(), entry.type.encode(), data)


async def _spliced(
    run: str, batches: AsyncGenerator[Sequence[RunEntry]]
) -> AsyncGenerator[Sequence[bytes]]:
    head = b'{"run":"%b","id":"' % run.encode()
    async with aclosing(batches):
        async for batch in batches:
            yield [
                b'%b%b","event":"%b","data":%b}'
                % (head, entry.position.encode(), entry.type.encode(), entry.data)
                for entry in batch
            ]
