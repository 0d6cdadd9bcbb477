"""Watch a job: every frame after a position once and in order, or a `reset`, until its terminal frame.

The log is the sequence and the channel is its quick messenger, who may lose anything at any time
without saying so. So: follow, read the log, then listen; look at the log when something does not
fit and when it is quiet; and now and then ask the store, which alone knows how the job stands.

Most frames come live and fit, so a client who can be told at once is: by the hand of the channel's
reader, without a task that wakes for each. Everything else is the turn of the watcher's own task.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from random import Random
from typing import Final, TypeAlias

from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, JobId, Position
from headrace.core.errors import Unavailable
from headrace.core.job import Job
from headrace.core.ports.streams import Page, Streams, Subscription, Take
from headrace.core.splice import (
    hear,
    holds_the_end,
    holes,
    just_before,
    last_entry,
    reset_entry,
    until_the_end,
)

PAGE: Final = 500
QUIET_S: Final = 2.0  # silence after which the log is read
QUIET_TURNS_PER_QUESTION: Final = 3  # to the store; the log is read every time

_CHANCE: Final = Random()  # one for all watchers: it is large beside the rest of one

Snapshot: TypeAlias = Callable[[], Awaitable[Job | None]]


def to_nobody(_: Sequence[Entry]) -> bool:
    return False


async def watch(  # noqa: PLR0913  # whom it asks and whom it tells, and options by name
    streams: Streams,
    snapshot: Snapshot,
    job: JobId,
    *,
    after: Position = START,
    tell: Take = to_nobody,
    quiet_s: float = QUIET_S,
    random: Random | None = None,
) -> AsyncGenerator[Sequence[Entry]]:
    """`tell` is offered what comes live and continues; what it takes is told, and not yielded.

    It may always say no, as to what a slow client has no room for: then that is yielded, and `tell`
    is not asked again before the next batch is asked for. Ends and resets are yielded always.

    Ends after a terminal frame, or when the store has the job no more (`snapshot` is None).

    An empty batch comes now and then when there is nothing to say, so that a client can be given a
    sign of life. Streams or a store that are away do not end it: it keeps trying, and says what the store knows.
    Close it (`contextlib.aclosing`) when leaving early, so that the subscription goes at once.
    """
    watcher = _Watcher(streams, snapshot, job, after, tell)
    pauses = _Pauses(quiet_s, random or _CHANCE)
    while not watcher.ended:
        try:
            async with streams.follow(job) as live:
                watcher.behind = True
                while not watcher.ended:
                    entries = await watcher.turn(live, pauses.quiet())
                    pauses.failures = 0
                    yield entries
        except Unavailable:
            yield await watcher.without_channel()
            if not watcher.ended:
                await asyncio.sleep(pauses.after_failure())


class _Pauses:
    """How long to wait, never the same for two watchers: they all lose the same server at once."""

    def __init__(self, quiet_s: float, random: Random) -> None:
        self._quiet_s, self._random = quiet_s, random
        self.failures = 0

    def quiet(self) -> float:
        return self._quiet_s * self._random.uniform(0.75, 1.25)

    def after_failure(self) -> float:
        """From a quarter of a quiet turn up to two of them, with full jitter."""
        self.failures = min(self.failures + 1, 4)
        return self._random.uniform(0, self._quiet_s * 2 ** (self.failures - 3))


class _Watcher:
    """Where one watcher stands. Nothing moves before it is ready to be said, so a failed turn repeats."""

    __slots__ = (
        *("_job", "_snapshot", "_streams", "_tell"),
        *("_cursor", "_final", "_quiet_turns", "_started", "_told", "behind", "ended"),
    )

    def __init__(
        self,
        streams: Streams,
        snapshot: Snapshot,
        job: JobId,
        after: Position,
        tell: Take,
    ) -> None:
        self._streams, self._snapshot, self._job, self._tell = streams, snapshot, job, tell
        self._cursor = after
        self._started = False  # something was said
        self._told = False  # a reset was said, and nothing since
        self._quiet_turns = 0
        self._final: Job | None = None  # the store says it is over; the log may still say so itself
        self.behind = True  # the log may hold more
        self.ended = False

    async def turn(self, live: Subscription, quiet_s: float) -> Sequence[Entry]:
        if self.behind:
            return await self._look()
        entries = await live.next(quiet_s, self._tell_at_once)
        if not entries:
            self._quiet_turns += 1
        heard = hear(self._cursor, entries)
        self.behind = heard.hole or not entries
        return self._say(heard.entries)

    def _tell_at_once(self, entries: Sequence[Entry]) -> bool:
        """While this watcher waits in a turn, so everything before has been said."""
        said, hole = hear(self._cursor, entries)
        if hole or holds_the_end(said):
            return False
        if said:
            if not self._tell(said):
                return False
            self._go_on(said[-1])
        return True

    async def without_channel(self) -> Sequence[Entry]:
        """What the log says; a server that is just back answers readers before it is followed again."""
        try:
            return await self._look()
        except Unavailable:
            return await self._without_log()

    async def _without_log(self) -> Sequence[Entry]:
        """How it stands, to one who was told nothing yet, and the end.

        Nobody can say what the log would have shown before the end, so a reset stands for it.
        """
        job = await self._ask_store()
        if job is None:
            return ()
        said: list[Entry] = []
        if not self._told and (job.terminal or not self._started):
            said.append(reset_entry(job, self._cursor))
            self._started = self._told = True
        return [*said, *self._end(job)] if job.terminal else said

    async def _look(self) -> Sequence[Entry]:
        """One page of the log, or, where it has nothing new, what the store has to say."""
        page = await self._read()
        if not page.entries:
            return await self._nothing_new(page)
        said = await self._with_resets(page)
        self.behind = len(page.entries) >= PAGE
        if self.behind:
            await asyncio.sleep(0)  # a long replay must not hold up the others on this loop
        return self._say(said)

    async def _read(self) -> Page:
        page = await self._streams.read(self._job, self._cursor, limit=PAGE)
        if page.entries or page.reaches or self._cursor == START:
            return page
        # The log was lost, and perhaps begun anew or set back: whatever it holds is all there is.
        anew = await self._streams.read(self._job, START, limit=PAGE)
        return Page(anew.entries, reaches=False)

    async def _with_resets(self, page: Page) -> Sequence[Entry]:
        """The page's entries, with a reset wherever something is missing before one of them."""
        missing = {*holes(self._cursor, page.entries), *([] if page.reaches else [0])}
        if not missing:
            return page.entries
        job = await self._snapshot()
        if job is None:
            self.ended = True
            return ()
        said: list[Entry] = []
        for nth, entry in enumerate(page.entries):
            if nth in missing:
                said.append(reset_entry(job, just_before(entry.position)))
            said.append(entry)
        return said

    async def _nothing_new(self, page: Page) -> Sequence[Entry]:
        self.behind = False
        if self._final is not None:
            return self._end(self._final)
        lost = not page.reaches and not self._told
        due = self._quiet_turns % QUIET_TURNS_PER_QUESTION == 0
        if not due and not (lost and self._cursor != START):
            return ()
        job = await self._ask_store()
        if job is None:
            return ()
        if job.terminal:  # its last frames, and the terminal one, may have come since we read
            self._final, self.behind = job, True
        if not lost or (self._cursor == START and job.epoch == 0 and not job.terminal):
            return ()
        self._started = self._told = True
        return [reset_entry(job, self._cursor)]

    async def _ask_store(self) -> Job | None:
        """The job as it stands; None while the store is away, and when it is gone for good."""
        try:
            job = await self._snapshot()
        except Unavailable:
            return None
        self.ended = job is None
        return job

    def _say(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        said = until_the_end(entries)
        if said:
            self._go_on(said[-1])
            self.ended = said[-1].terminal
        return said

    def _go_on(self, last: Entry) -> None:
        self._cursor = last.position
        self._started, self._told = True, False
        self._quiet_turns = 0

    def _end(self, job: Job) -> Sequence[Entry]:
        """The end as the store knows it. The log does not say it, so it may lack more than that."""
        told = () if self._told else (reset_entry(job, self._cursor),)
        return self._say([*told, last_entry(job, self._cursor)])
