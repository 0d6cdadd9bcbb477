"""Let go of what is old, a bounded batch at a time: rows first, then the blobs that only they named."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from headrace.core.errors import Unavailable
from headrace.core.ports.blobs import BlobRef, Blobs
from headrace.core.ports.store import Store, Transaction
from headrace.core.usecases.erase import KEPT as DELETIONS_KEPT
from headrace.core.usecases.upload import end_expired

# Clients are promised a day; what is kept longer forgives a clock or a client that is late.
KEYS_KEPT: Final = timedelta(hours=48)
FIRES_KEPT: Final = timedelta(days=30)
CALLS_KEPT: Final = timedelta(days=30)  # as a log; what still waits stays
# One that was killed says no goodbye, and its successor has another name.
WORKERS_KEPT: Final = timedelta(days=1)
# What a remote worker took: who hands in later than this hears that there was no such job.
TAKES_KEPT: Final = timedelta(days=1)
# A blob that nobody names may be about to be named, or be the answer that a key repeats.
BLOBS_KEPT: Final = KEYS_KEPT
_AT_ONCE: Final = 16  # blobs
_TENANTS_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """For how long. Jobs are kept after their end; None: for ever, and every blob with them."""

    jobs: timedelta | None = None
    engines: timedelta = timedelta(days=7)  # after a worker last announced them
    api_keys: timedelta | None = None  # after they were revoked or expired; None: for ever


async def purge(store: Store, blobs: Blobs, *, kept: Kept, limit: int) -> bool:
    """True: there may be more.

    A job is kept for as long as a key may answer with it, so keys go first.
    """
    async with store.begin() as tx:
        now = await tx.now()
        keys = await tx.purge_keys(older_than=now - KEYS_KEPT, limit=limit)
        fires = await tx.purge_fires(older_than=now - FIRES_KEPT, limit=limit)
        silent = await tx.purge_workers(seen_before=now - WORKERS_KEPT, limit=limit)
        takes = await tx.purge_takes(granted_before=now - TAKES_KEPT, limit=limit)
        called = await tx.purge_calls(created_before=now - CALLS_KEPT, limit=limit)
        wishes = await tx.purge_deletions(finished_before=now - DELETIONS_KEPT, limit=limit)
        await tx.purge_engines(announced_before=now - kept.engines)
        useless = await _purge_api_keys(tx, now, kept, limit)
    ended = await end_expired(store, blobs, limit=limit)
    if keys >= limit:
        return True
    others = max(fires, silent, takes, called, wishes, useless, ended)
    if kept.jobs is None:
        return others >= limit
    async with store.begin() as tx:
        then = await tx.now() - max(kept.jobs, KEYS_KEPT)
        runs = await tx.purge_runs(finished_before=then, limit=limit)
        batches = await tx.purge_batches(finished_before=then, limit=limit)
        purged = await tx.purge_jobs(finished_before=then, limit=limit)
    await delete_blobs(blobs, [*runs.orphans, *batches.orphans, *purged.orphans])
    return max(others, runs.runs, batches.batches, purged.jobs) >= limit


async def purge_own(store: Store, blobs: Blobs, *, after: str, limit: int) -> tuple[str, bool]:
    """Of tenants for whom it was set how long: as many of them as one turn looks at, behind this one.

    Answers where to go on ('' is at the first again), and whether there is more to do at once. No tenant
    is looked at for whom nothing was set.
    """
    async with store.begin() as tx:
        own = await tx.retentions(after=after, limit=_TENANTS_AT_ONCE)
    for tenant, kept in own.items():
        async with store.begin() as tx:
            then = await tx.now() - max(kept, KEYS_KEPT)
            runs = await tx.purge_runs(finished_before=then, limit=limit, tenant=tenant)
            batches = await tx.purge_batches(finished_before=then, limit=limit, tenant=tenant)
            jobs = await tx.purge_jobs(finished_before=then, limit=limit, tenant=tenant)
        await delete_blobs(blobs, [*runs.orphans, *batches.orphans, *jobs.orphans])
        if max(runs.runs, batches.batches, jobs.jobs) >= limit:
            return after, True
        after = tenant
    more = len(own) >= _TENANTS_AT_ONCE
    return (after, True) if more else ("", False)


async def _purge_api_keys(tx: Transaction, now: datetime, kept: Kept, limit: int) -> int:
    if kept.api_keys is None:
        return 0
    return await tx.purge_api_keys(useless_since=now - kept.api_keys, limit=limit)


async def collect(store: Store, blobs: Blobs, *, after: str, limit: int) -> str | None:
    """Delete, of one page of blobs, those that are old and named by nobody; answers where to go on.

    What an attempt stored whose result came too late, what was uploaded for nothing, and what `purge`
    could not delete. Who names a blob in the very moment finds it gone, as a moment later.
    """
    page = await blobs.page(after=after, limit=limit)
    old = [ref for ref, age_s in page.blobs if age_s > BLOBS_KEPT.total_seconds()]
    if old:
        async with store.begin() as tx:
            unused = await tx.unused(old)
        await delete_blobs(blobs, unused)
    return page.next


async def delete_blobs(blobs: Blobs, orphans: Sequence[BlobRef]) -> None:
    for begin in range(0, len(orphans), _AT_ONCE):
        async with asyncio.TaskGroup() as group:
            for each in orphans[begin : begin + _AT_ONCE]:
                group.create_task(_delete_one(blobs, each))


async def _delete_one(blobs: Blobs, orphan: BlobRef) -> None:
    with suppress(Unavailable):  # it is collected later
        await blobs.delete(orphan.tenant, orphan.blob)
