"""The log of one job, for its owner: what happened to it, and what its engines said, in order.

What happened is in the store, with its time. What an engine said is in the job's stream, for as long
as that lasts, and has a place but no time: it stands between its attempt's start and end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any, Final, Literal, TypeAlias

import msgspec

from headrace.contracts.frames import Log, decode_frame
from headrace.contracts.ids import START, JobId, Position, TenantId
from headrace.core.errors import JobNotFound, Unavailable
from headrace.core.job import Job
from headrace.core.ports.store import AttemptRecord, Store
from headrace.core.ports.streams import Streams

PAGE: Final = 500
WITHIN_S: Final = 3.0  # to read a stream; what was read by then is told
LONGEST_LINE: Final = 2_000

Source: TypeAlias = Literal["job", "attempt", "engine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    source: Source
    text: str
    at: datetime | None = None  # on the store's clock
    attempt: int | None = None
    position: Position | None = None  # of a frame


@dataclass(frozen=True, slots=True)
class JobLog:
    job: Job
    lines: list[Line]
    left_out: int  # earlier lines of its engines, beyond the limit
    complete: bool  # False: the stream is gone, or away, and its engines may have said more


@dataclass(slots=True)
class _Said:
    """The latest of what the engines said."""

    latest: deque[tuple[Position, str]]
    count: int = 0
    complete: bool = True
    cursor: Position = field(default=START)


async def tell_log(
    store: Store, streams: Streams, tenant: TenantId, job: JobId, *, limit: int
) -> JobLog:
    """At most `limit` lines of its engines, the latest. Raises JobNotFound, Unavailable."""
    async with store.begin() as tx:
        found = await tx.find(tenant, job)
        if found is None:
            raise JobNotFound(job)
        attempts = await tx.attempts(job)
    said = _Said(deque(maxlen=limit))
    try:
        async with asyncio.timeout(WITHIN_S):
            await _read(streams, found, said)
    except (TimeoutError, Unavailable):
        said.complete = False
    lines = _in_order(found, attempts, said.latest)
    return JobLog(found, lines, said.count - len(said.latest), said.complete)


async def _read(streams: Streams, job: Job, said: _Said) -> None:
    while True:
        page = await streams.read(job.id, said.cursor, limit=PAGE)
        # An empty log never reaches; of a job that nobody has run that is as it should be.
        said.complete &= page.reaches or (not page.entries and job.epoch == 0)
        if not page.entries:
            return
        for entry in page.entries:
            said.cursor = entry.position
            if entry.type == "log":
                said.count += 1
                said.latest.append((entry.position, _line_of(entry.data)))
        if len(page.entries) < PAGE:
            return


def _line_of(data: bytes) -> str:
    try:
        frame = decode_frame(data)
    except msgspec.DecodeError:  # a newer build's, or a producer's own
        return ""
    return frame.line[:LONGEST_LINE] if isinstance(frame, Log) else ""


def _in_order(
    job: Job, attempts: Sequence[AttemptRecord], said: Sequence[tuple[Position, str]]
) -> list[Line]:
    lines = [
        Line(source="job", at=job.created_at, text="submitted"),
        *chain.from_iterable(_of_attempt(each, said) for each in attempts),
        *_engine(said, None, known={each.epoch for each in attempts}),
    ]
    if job.cancel_asked_at is not None:
        why = f" ({job.cancel_reason})" if job.cancel_reason else ""
        asked = Line(source="job", at=job.cancel_asked_at, text=f"asked to cancel{why}")
        lines.insert(_place(lines, job.cancel_asked_at), asked)
    if job.terminal:
        text = f"{job.state}{_why(job.error)}"
        lines.append(Line(source="job", at=job.finished_at, text=text))
    return lines


def _of_attempt(record: AttemptRecord, said: Sequence[tuple[Position, str]]) -> Iterator[Line]:
    number = record.attempt
    yield Line(
        source="attempt", at=record.started_at, attempt=number, text=f"started on {record.worker}"
    )
    yield from _engine(said, number, epoch=record.epoch)
    if record.ended_at is not None:
        text = f"{record.outcome}{_why(record.error)}"
        yield Line(source="attempt", at=record.ended_at, attempt=number, text=text)


def _engine(
    said: Sequence[tuple[Position, str]],
    attempt: int | None,
    *,
    epoch: int | None = None,
    known: set[int] | None = None,
) -> Iterator[Line]:
    """Of one epoch; or, without one, of those that no attempt is known for."""
    for position, text in said:
        if position.epoch == epoch or (known is not None and position.epoch not in known):
            yield Line(source="engine", attempt=attempt, position=position, text=text)


def _place(lines: Sequence[Line], at: datetime) -> int:
    """Before the first that came later."""
    later = (n for n, line in enumerate(lines) if line.at is not None and line.at > at)
    return next(later, len(lines))


def _why(error: Mapping[str, Any] | None) -> str:
    if not error:
        return ""
    said = f": {error.get('kind')}: {error.get('message')}"
    return said[:LONGEST_LINE]
