"""Joining what is read and what is heard into one sequence: pure decisions about positions.

Laws:
1. Within an epoch positions count up by one; a later epoch starts at 1. Anything else is a hole.
2. A hole is mended by the log or said aloud by a `reset`, never passed over.
3. Live frames are taken only where they continue the cursor within its epoch. A new epoch is read
   from the log, so that the last frames of the old one are not missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from headrace.contracts.frames import Entry, Reset, encode_frame, frame_type
from headrace.contracts.ids import Position
from headrace.core.announce import last_frame
from headrace.core.job import Job
from headrace.core.snapshot import describe


class Heard(NamedTuple):
    entries: Sequence[Entry]  # they continue the cursor
    hole: bool  # something else came as well: look at the log


def hear(cursor: Position, entries: Sequence[Entry]) -> Heard:
    """Of live frames, those that come next; those that were there before are dropped.

    Where all of them come next it is the same sequence, so that one encoding serves all who hear it.
    """
    taken: list[Entry] = []
    for entry in entries:
        position = entry.position
        if position.epoch == cursor.epoch and position.seq == cursor.seq + 1:
            taken.append(entry)
            cursor = position
        elif position > cursor:
            return Heard(taken, hole=True)
    return Heard(entries if len(taken) == len(entries) else taken, hole=False)


def holes(cursor: Position, entries: Sequence[Entry]) -> list[int]:
    """The indices of entries before which something is missing."""
    before = [cursor, *(entry.position for entry in entries)]
    return [nth for nth, entry in enumerate(entries) if not _follows(before[nth], entry.position)]


def until_the_end(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Nothing is said after the terminal frame."""
    for nth, entry in enumerate(entries, start=1):
        if entry.terminal:
            return entries[:nth]
    return entries


def holds_the_end(entries: Sequence[Entry]) -> bool:
    for entry in entries:  # noqa: SIM110  # no generator: asked once for every frame that is shown
        if entry.terminal:
            return True
    return False


def just_before(position: Position) -> Position:
    return Position(position.epoch, max(position.seq - 1, 0))


def reset_entry(job: Job, position: Position) -> Entry:
    frame = Reset(snapshot=describe(job))
    return Entry(position=position, type=frame_type(frame), data=encode_frame(frame))


def last_entry(job: Job, cursor: Position) -> Entry:
    """The end as the store knows it, where the dispatcher would put it, but after the cursor."""
    frame = last_frame(job)
    return Entry(
        position=max(Position(job.epoch, 1), Position(cursor.epoch, cursor.seq + 1)),
        type=frame_type(frame),
        data=encode_frame(frame),
    )


def _follows(cursor: Position, position: Position) -> bool:
    if position.epoch == cursor.epoch:
        return position.seq == cursor.seq + 1
    return position.epoch > cursor.epoch and position.seq == 1
