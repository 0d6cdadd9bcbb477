"""A tenant's view of a job and of its frames: nothing is read for a tenant that does not own it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TypeAlias

from headrace.api.deps import ApiDeps
from headrace.api.presence import Presence
from headrace.contracts.frames import Entry
from headrace.contracts.ids import START, JobId, Position, TenantId
from headrace.core.errors import JobNotFound, Unavailable
from headrace.core.job import Job
from headrace.core.ports.streams import Streams, Take
from headrace.core.usecases.watch import QUIET_S, to_nobody, watch

Batches: TypeAlias = AsyncGenerator[Sequence[Entry]]
# Begins to watch; what is told at once, by what it is given, is not among the batches.
Watching: TypeAlias = Callable[[Take], Batches]


async def find(deps: ApiDeps, tenant: TenantId, job: JobId) -> Job:
    """Raises JobNotFound, also for another tenant's."""
    found = await deps.lookup.find(tenant, job)
    if found is None:
        raise JobNotFound(job)
    return found


def frames(deps: ApiDeps, job: Job, after: Position = START, tell: Take = to_nobody) -> Batches:
    """Frames after a position, in order, each once; ends after the terminal one. Close it."""
    tenant, id_ = job.tenant, job.id

    async def snapshot() -> Job | None:
        return await deps.lookup.find(tenant, id_)

    quiet_s = min(QUIET_S, deps.limits.ping_s)  # a ping is due in a quiet turn
    batches = watch(deps.streams, snapshot, id_, after=after, tell=tell, quiet_s=quiet_s)
    if job.spec.cancel_after_s is None or job.terminal:
        return batches
    return _attended(deps.presence, job, batches)


async def _attended(presence: Presence, job: Job, batches: Batches) -> Batches:
    async with aclosing(batches), presence.watching(job, job.spec.cancel_after_s or 0.0):
        async for batch in batches:
            yield batch


def until(seconds: float, watching: Watching) -> Watching:
    """Ends after so long; an empty batch comes in silence too, so it is not much later."""

    async def watched(tell: Take) -> Batches:
        clock = asyncio.get_running_loop().time
        end = clock() + seconds

        def tell_in_time(entries: Sequence[Entry]) -> bool:
            return clock() < end and tell(entries)

        async with aclosing(watching(tell_in_time)) as batches:
            async for batch in batches:
                yield batch
                if clock() >= end:
                    return

    return watched


def while_good(deps: ApiDeps, digest: str, over_at: float | None, watching: Watching) -> Watching:
    """Ends soon after the key was revoked, or the token is over; an empty batch comes in silence, so no timer is needed."""

    async def watched(tell: Take) -> Batches:
        clock = asyncio.get_running_loop().time
        checked_at = clock()

        def is_due() -> bool:
            return clock() - checked_at >= deps.limits.recheck_s

        def tell_unless_due(entries: Sequence[Entry]) -> bool:
            return not is_due() and tell(entries)

        async with aclosing(watching(tell_unless_due)) as batches:
            async for batch in batches:
                if is_due():
                    if not await deps.auth.still_good(digest, over_at):
                        return
                    checked_at = clock()
                yield batch

    return watched


async def is_the_end(streams: Streams, job: JobId, at: Position) -> bool:
    """Whether the frame at this position is the terminal one; unknown while streams are down."""
    if at.seq == 0:
        return False
    try:
        page = await streams.read(job, Position(at.epoch, at.seq - 1), limit=1)
    except Unavailable:
        return False
    return any(entry.terminal and entry.position == at for entry in page.entries)
