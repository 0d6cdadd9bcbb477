"""A run's stream as Server-Sent Events, and as the messages of a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from starlette.responses import Response

from headrace.api.addresses import uuid_or_none
from headrace.api.deps import ApiDeps
from headrace.api.gateways.run_watching import RunEntry, is_the_end, look, run_frames
from headrace.api.gateways.sse import EventStream, EventStreamResponse, Wording, goodbye, hello
from headrace.api.gateways.watching import WatchingOf, until, while_good
from headrace.api.gateways.websocket import Opening
from headrace.api.problems import bad_position
from headrace.api.tickets import Holder
from headrace.contracts.ids import JobId, RunId
from headrace.core.errors import RunNotFound
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

    def frames(_: object) -> AsyncGenerator[Sequence[RunEntry]]:
        return run_frames(deps, found, after=after)

    watching: WatchingOf[RunEntry] = frames
    if viewer.by_ticket:
        watching = until(deps.limits.ticket_session_s, watching)
    if viewer.digest or viewer.until is not None:
        watching = while_good(deps, viewer.digest, viewer.until, watching)
    return EventStreamResponse(
        EventStream(watching, stopping=deps.stopping, limits=deps.limits, wording=_WORDING)
    )


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


def _events(batch: Sequence[RunEntry]) -> bytes:
    return b"".join(map(_event, batch))


def _event(entry: RunEntry) -> bytes:
    data = entry.data
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (entry.position.encode(), entry.type.encode(), data)


_WORDING: Final = Wording(hello, _events, _events, goodbye)


async def _spliced(
    run: str, batches: AsyncGenerator[Sequence[RunEntry]]
) -> AsyncGenerator[Sequence[bytes]]:
    head = b'{"run":"%b","id":"' % run.encode()
    async with aclosing(batches):
        async for batch in batches:
            yield [
                b'%b%b","frame":%b}' % (head, entry.position.encode(), entry.data)
                for entry in batch
            ]
