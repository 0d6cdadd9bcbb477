"""What has ended of a batch, as JSON lines, and how it stands, as Server-Sent Events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from headrace.api.deps import ApiDeps
from headrace.api.gateways.sse import OURS, EventStream, EventStreamResponse
from headrace.api.gateways.watching import Batches, Watching, until, while_good
from headrace.api.tickets import Holder
from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, BatchId
from headrace.core.batch import Ended
from headrace.core.errors import Unavailable
from headrace.core.errors_bulk import BatchNotFound
from headrace.core.ports.streams import Take
from headrace.core.usecases.batches import Standing, find_batch

JSON_LINES: Final = "application/jsonl"
_PAGE: Final = 200
_LOOK_EVERY_S: Final = 1.0

Line: TypeAlias = Callable[[Ended], bytes]  # with its end
Say: TypeAlias = Callable[[Standing], bytes]  # as the data of an event


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which results."""

    batch: BatchId
    after: int = 0
    wrong: bool = False  # only those
    follow: bool = False  # wait for more, until it is over
    most: int | None = None  # lines; None: all

    def behind(self, found: Sequence[Ended]) -> Wanted:
        """What is left of it."""
        if not found:
            return self
        most = None if self.most is None else self.most - len(found)
        return replace(self, after=found[-1].number, most=most)


async def open_results(
    deps: ApiDeps, viewer: Holder, wanted: Wanted, line: Line
) -> EventStreamResponse:
    """Raises Refused or BatchNotFound."""
    first = await _turn(deps, viewer, wanted)
    watching: Watching = partial(_results, deps, viewer, wanted, line, first)
    if wanted.follow:
        watching = until(deps.limits.follow_s, watching)
    return _response(deps, viewer, watching, media_type=JSON_LINES)


async def open_progress(
    deps: ApiDeps, viewer: Holder, batch: BatchId, say: Say
) -> EventStreamResponse:
    """Raises Refused or BatchNotFound."""
    first = await _look(deps, viewer, batch)
    watching: Watching = partial(_progress, deps, viewer, say, first)
    if viewer.by_ticket:
        watching = until(deps.limits.ticket_session_s, watching)
    return _response(deps, viewer, watching)


def _response(
    deps: ApiDeps, viewer: Holder, watching: Watching, *, media_type: str = "text/event-stream"
) -> EventStreamResponse:
    if viewer.digest or viewer.until is not None:
        watching = while_good(deps, viewer.digest, viewer.until, watching)
    wording = _EVENTS if media_type != JSON_LINES else _LINES
    stream = EventStream(watching, stopping=deps.stopping, limits=deps.limits, wording=wording)
    return EventStreamResponse(stream, media_type=media_type)


def _joined(batch: Sequence[Entry]) -> bytes:
    return b"".join(entry.data for entry in batch)


def _nothing() -> bytes:
    return b""


# An entry is what is written, already: its position is no job's.
_EVENTS: Final = replace(OURS, events=_joined, live=_joined)
# Between lines a blank one may stand; it says that somebody is still there.
_LINES: Final = replace(_EVENTS, hello=_nothing, farewell=_nothing, ping=b"\n")


@dataclass(frozen=True, slots=True)
class _Turn:
    found: Sequence[Ended]
    full: bool  # there may be more at once
    was_over: bool  # before it was looked for them: there are no more behind the last


async def _turn(deps: ApiDeps, viewer: Holder, wanted: Wanted) -> _Turn:
    async with deps.store.begin() as tx:
        look = await tx.look_at_batch(viewer.tenant, wanted.batch)
        if look is None:
            raise BatchNotFound(wanted.batch)
        limit = min(_PAGE, _PAGE if wanted.most is None else wanted.most)
        found = await tx.ended_items(
            wanted.batch, after=wanted.after, limit=limit, wrong=wanted.wrong
        )
    return _Turn(found, full=len(found) >= limit, was_over=look.batch.over)


async def _results(  # what is asked for, by whom, and what was found first
    deps: ApiDeps,
    viewer: Holder,
    wanted: Wanted,
    line: Line,
    turn: _Turn,
    tell: Take,  # noqa: ARG001  # all of it comes in batches
) -> Batches:
    while True:
        if turn.found:
            yield [Entry(position=START, type="item", data=line(each)) for each in turn.found]
            wanted = wanted.behind(turn.found)
        if wanted.most == 0 or _is_all(turn, wanted):
            return
        if not turn.full:
            yield ()
            await _pause()
        turn = await _next(deps, viewer, wanted)


def _is_all(turn: _Turn, wanted: Wanted) -> bool:
    return not turn.full and (turn.was_over or not wanted.follow)


async def _next(deps: ApiDeps, viewer: Holder, wanted: Wanted) -> _Turn:
    """Raises Unavailable unless it is followed: the answer breaks off, and its last cursor goes on."""
    try:
        return await _turn(deps, viewer, wanted)
    except BatchNotFound:
        return _Turn((), full=False, was_over=True)  # it went with its time
    except Unavailable:
        if not wanted.follow:
            raise
        return _Turn((), full=False, was_over=False)


async def _look(deps: ApiDeps, viewer: Holder, batch: BatchId) -> Standing:
    async with deps.store.begin() as tx:
        return await find_batch(tx, viewer.tenant, batch)


async def _progress(
    deps: ApiDeps,
    viewer: Holder,
    say: Say,
    found: Standing,
    tell: Take,  # noqa: ARG001  # all of it comes in batches
) -> Batches:
    said = b""
    while True:
        data = say(found)
        if data != said:
            said = data
            event = b"event: batch\ndata: %b\n\n" % data
            yield [Entry(position=START, type="batch", data=event)]
        if found.look.batch.over:
            return
        yield ()
        await _pause()
        try:
            found = await _look(deps, viewer, found.look.batch.id)
        except BatchNotFound:
            return
        except Unavailable:
            continue


async def _pause() -> None:
    await asyncio.sleep(_LOOK_EVERY_S * random.uniform(0.7, 1.3))
