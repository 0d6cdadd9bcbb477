"""One stream for a run: the streams of its jobs side by side, and between them how the run stands.

Nothing is written twice for it (ADR 0014). Each job's frames come from its own log, in its order; a
position says how far the watcher is in each. A job's end is committed with the beginning of what follows
it, before its terminal frame: so after such a frame the store is asked, and names the next jobs.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from headrace.api.deps import ApiDeps
from headrace.api.gateways.watching import frames
from headrace.contracts.frames import Entry
from headrace.contracts.ids import JobId, RunId, TenantId
from headrace.core.errors import Unavailable
from headrace.core.ports.store import Query
from headrace.core.run import Piece, PieceState, Run, View
from headrace.core.run_position import Place, RunPosition

QUIET_S: Final = 2.0  # silence after which the store is asked how the run stands


@dataclass(frozen=True, slots=True)
class RunEntry:
    """An event of a run: a frame of one of its jobs with whose it is, or `run`, how it stands."""

    position: str
    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Look:
    run: Run
    pieces: Sequence[Piece]
    progress: dict[JobId, float | None]


async def look(deps: ApiDeps, tenant: TenantId, run: RunId) -> Look | None:
    """Raises Unavailable; None: there is no such run."""
    async with deps.store.begin() as tx:
        found = await tx.find_run(tenant, run)
        if found is None:
            return None
        pieces = await tx.pieces(run)
        running = [it.job for it in pieces if it.state is PieceState.RUNNING and it.job]
        jobs = await tx.page(tenant, Query(ids=running, limit=len(running))) if running else []
    return Look(found, pieces, {job.id: job.progress for job in jobs})


def is_the_end(found: Look, at: RunPosition) -> bool:
    """Whether somebody who stands here has seen it all."""
    return at.over and found.run.over and not _unseen(found, at)


async def run_frames(
    deps: ApiDeps, found: Look, *, after: RunPosition
) -> AsyncGenerator[Sequence[RunEntry]]:
    """Ends when the run is over and all was said. Empty batches come in silence. Close it."""
    watcher = _Watcher(deps, found, after)
    try:
        while not watcher.ended:
            yield await watcher.turn()
    finally:
        await watcher.close()


@dataclass(slots=True)
class _Open:
    place: Place
    head: bytes  # whose each of its frames is, as JSON to be gone on with
    batches: AsyncGenerator[Sequence[Entry]]
    next: asyncio.Task[Sequence[Entry] | None]


class _Watcher:
    def __init__(self, deps: ApiDeps, found: Look, after: RunPosition) -> None:
        self._deps, self._found, self._at = deps, found, after
        self._open: dict[JobId, _Open] = {}
        self._said: dict[str, Any] | None = None
        self._fresh = True  # what was found has not been gone through
        self._look_again = False
        self.ended = False

    async def turn(self) -> Sequence[RunEntry]:
        if self._look_again:
            await self._look()
        if self._fresh:
            self._fresh = False
            await self._follow_new_ones()
            if not self._is_over():
                return self._tell_if_new()
        if self._is_over():
            self.ended = True
            self._at = RunPosition(self._at.seen, over=True)
            return [self._tell()]
        return await self._wait()

    async def close(self) -> None:
        for each in self._open.values():
            each.next.cancel()
        if self._open:
            await asyncio.wait([each.next for each in self._open.values()])
        for each in self._open.values():
            await each.batches.aclose()

    async def _look(self) -> None:
        try:
            found = await look(self._deps, self._found.run.tenant, self._found.run.id)
        except Unavailable:
            return  # what is open goes on; asked again in the next turn
        self._look_again = False
        if found is None:
            self.ended = True
        else:
            self._found, self._fresh = found, True

    async def _follow_new_ones(self) -> None:
        new = [
            (place, it) for place, it in _unseen(self._found, self._at) if it.job not in self._open
        ]
        if not new:
            return
        tenant, ids = self._found.run.tenant, [it.job for _, it in new if it.job is not None]
        try:
            async with self._deps.store.begin() as tx:
                jobs = {j.id: j for j in await tx.page(tenant, Query(ids=ids, limit=len(ids)))}
        except Unavailable:
            self._fresh = True
            return
        for place, it in new:
            job = None if it.job is None else jobs.get(it.job)
            if job is None:  # it went with its time
                self._at = self._at.moved(place, None)
                continue
            after = self._at.at(place)
            batches = frames(self._deps, job) if after is None else frames(self._deps, job, after)
            self._open[job.id] = _Open(place, _head(it, job.id), batches, _ask(batches))

    async def _wait(self) -> Sequence[RunEntry]:
        waiting = [each.next for each in self._open.values()]
        quiet_s = QUIET_S * random.uniform(0.75, 1.25)
        if not waiting:  # between stages, or the store is away
            await asyncio.sleep(quiet_s / 4)
            self._look_again = True
            return ()
        done, _ = await asyncio.wait(waiting, timeout=quiet_s, return_when=asyncio.FIRST_COMPLETED)
        self._look_again = self._look_again or not done
        return [entry for job in list(self._open) for entry in await self._taken(job)]

    async def _taken(self, job: JobId) -> Sequence[RunEntry]:
        open_ = self._open[job]
        if not open_.next.done():
            return ()
        batch = open_.next.result()
        said = [self._of_job(open_, entry) for entry in batch or ()]
        if batch is None or (batch and batch[-1].terminal):
            self._at = self._at.moved(open_.place, None)
            self._look_again = True
            del self._open[job]
            await open_.batches.aclose()
        else:
            self._look_again = self._look_again or not batch
            open_.next = _ask(open_.batches)
        return said

    def _of_job(self, open_: _Open, entry: Entry) -> RunEntry:
        seen = None if entry.terminal else entry.position
        self._at = self._at.moved(open_.place, seen)
        data = b'%b"frame":%b}' % (open_.head, entry.data)
        return RunEntry(str(self._at), entry.type, data)

    def _is_over(self) -> bool:
        return self._found.run.over and not self._open and not _unseen(self._found, self._at)

    def _standing(self) -> dict[str, Any]:
        run = self._found.run
        view = View(run, self._found.pieces)
        return {
            "type": "run",
            "run": run.id,
            "state": run.state,
            "progress": round(view.progress(self._found.progress), 4),
            "error": run.error,
            "stages": [
                {"name": stage.name, "state": view.states[stage.name]} for stage in run.stages
            ],
        }

    def _tell_if_new(self) -> Sequence[RunEntry]:
        now = self._standing()
        if now == self._said or self._found.run.over:
            return ()  # of an end nothing is told before the last frames were
        self._said = now
        return [self._tell()]

    def _tell(self) -> RunEntry:
        return RunEntry(str(self._at), "run", msgspec.json.encode(self._standing()))


def _unseen(found: Look, at: RunPosition) -> list[tuple[Place, Piece]]:
    """Jobs whose end was not said yet."""
    number = {stage.name: nth for nth, stage in enumerate(found.run.stages)}
    places = [
        (Place(number[it.stage], it.index, it.tries), it)
        for it in found.pieces
        if it.job is not None
    ]
    return [(place, it) for place, it in places if at.at(place) is not None]


def _head(piece: Piece, job: JobId) -> bytes:
    whose = {"stage": piece.stage, "index": piece.index, "job": job}
    return msgspec.json.encode(whose).removesuffix(b"}") + b","


def _ask(batches: AsyncGenerator[Sequence[Entry]]) -> asyncio.Task[Sequence[Entry] | None]:
    """The next batch, or None where there is none."""
    return asyncio.ensure_future(_next(batches))  # noqa: TID251  # its watcher closes it


async def _next(batches: AsyncGenerator[Sequence[Entry]]) -> Sequence[Entry] | None:
    return await anext(batches, None)
