"""Delete on request: jobs, runs, batches, whatever of a tenant's has a label or an age, and all that a tenant has.

Laws:
1. A wish is a row. What has ended leaves the store in the transaction of the wish, or in one of a
   dispatcher's; what lies outside of it (frames, blobs) is a list of remnants in the same transaction, and
   the wish is over when that is empty. So no crash forgets a piece, and doing it twice changes nothing.
2. What has not ended is refused, or asked to end and remains until it has.
3. A run goes as a whole, with every job that it made, and so does a batch; none of these goes alone. A
   batch itself goes at once, the many jobs that it may have some at a time.
4. What comes later for a job that is gone brings nothing back: its log refuses frames, its results are
   stale and the blobs that they or checkpoints name are remnants, and no dead letter is made of it.
5. What is kept (the wish, the audit) names ids, the tenant, the key and the time, and counts; no content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from headrace.contracts.ids import BatchId, BlobId, DeletionId, JobId, RunId, TenantId, UploadId
from headrace.core.batch import Batch, item_of
from headrace.core.errors import JobNotFound, JobNotOver, RunNotFound, RunNotReady, Unavailable
from headrace.core.errors_bulk import (
    BatchNotFound,
    BatchNotOver,
    JobOfBatch,
    JobOfRun,
    TooManyDeletions,
)
from headrace.core.job import Job
from headrace.core.ports.blobs import Blobs
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.deletions import Deletion, Kind, Remnant, Sweep
from headrace.core.ports.producers import Producers
from headrace.core.ports.store import Store, Transaction
from headrace.core.ports.streams import Streams
from headrace.core.run import Run
from headrace.core.usecases.cancel import wish_to_cancel
from headrace.core.usecases.follow import RUN_LABEL, jobs_of
from headrace.core.usecases.runs import cancel_run

KEPT: Final = timedelta(days=30)  # a wish that is over, and who was erased by it
MOST_OPEN: Final = 100  # wishes of one tenant that wait for something
AT_ONCE: Final = 100  # jobs, runs, items or remnants
_FIRST_LOOK: Final = timedelta(seconds=5)  # until then whoever took the wish is at it
_LONGEST_WAIT_S: Final = 30.0
_MOST_TRIES: Final = 10  # that make it wait longer
_OUTSIDE: Final = (Kind.LOG, Kind.PRODUCER, Kind.BLOB, Kind.UPLOAD)
_TOLD_AS: Final = {Kind.LOG: "streams", Kind.PRODUCER: "producers", Kind.BLOB: "blobs"}
EVERYTHING: Final = "tenant"  # the subject of a wish about all that a tenant has


@dataclass(frozen=True, slots=True)
class Asking:
    """Who wants something gone, as the audit names them, and the id that the wish gets."""

    tenant: TenantId
    who: str
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Places:
    """Where content lies beside the store. Without producers, theirs is left to who has them."""

    streams: Streams
    blobs: Blobs
    producers: Producers | None = None


async def delete_job(tx: Transaction, asking: Asking, job: JobId, *, cancel: bool) -> Deletion:
    """Again is the same wish. Raises JobNotFound, JobNotOver, JobOfRun, JobOfBatch, TooManyDeletions."""
    found = (await tx.load([job])).get(job)
    if found is None or found.tenant != asking.tenant:
        known = await tx.deletion_of(asking.tenant, f"{Kind.JOB} {job}")
        if known is None:
            raise JobNotFound(job)
        return known
    if (run := await run_of(tx, found)) is not None:
        raise JobOfRun(job, run.id)
    if (batch := await batch_of(tx, found)) is not None:
        raise JobOfBatch(job, batch.id)
    if not found.terminal and not cancel:
        raise JobNotOver(job, found.state, "deleted")
    if not found.terminal and (asked := await tx.deletion_of(asking.tenant, f"{Kind.JOB} {job}")):
        return asked
    wish = await _wish(tx, asking, f"{Kind.JOB} {job}", waits=not found.terminal)
    if found.terminal:
        return await erased(tx, wish, jobs=[job])
    await wish_to_cancel(tx, asking.tenant, job)
    await tx.add_remnants(wish.id, [Remnant(Kind.JOB, asking.tenant, job)])
    return wish


async def delete_run(tx: Transaction, asking: Asking, run: RunId, *, cancel: bool) -> Deletion:
    """With its jobs. Again is the same wish. Raises RunNotFound, RunNotReady, TooManyDeletions."""
    found = next(iter(await tx.lock_runs([run])), None)
    known = await tx.deletion_of(asking.tenant, f"{Kind.RUN} {run}")
    if found is None or found.tenant != asking.tenant:
        if known is None:
            raise RunNotFound(run)
        return known
    if not found.over and not cancel:
        raise RunNotReady(run, f"is {found.state}; one that is over is deleted")
    if known is not None:
        return known
    wish = await _wish(tx, asking, f"{Kind.RUN} {run}", waits=not found.over)
    if not found.over:
        await cancel_run(tx, asking.tenant, run)
        await tx.add_remnants(wish.id, [Remnant(Kind.RUN, asking.tenant, run)])
        return wish
    return await erased(tx, wish, jobs=jobs_of(found, await tx.pieces(run)), runs=[run])


async def delete_batch(
    tx: Transaction, asking: Asking, batch: BatchId, *, cancel: bool
) -> Deletion:
    """With its jobs. Again is the same wish. Raises BatchNotFound, BatchNotOver, TooManyDeletions."""
    found = next(iter(await tx.lock_batches([batch])), None)
    known = await tx.deletion_of(asking.tenant, f"{Kind.BATCH} {batch}")
    if found is None or found.tenant != asking.tenant:
        if known is None:
            raise BatchNotFound(batch)
        return known
    if not found.over and not cancel:
        raise BatchNotOver(batch, found.state)
    if known is not None:
        return known
    waits = not found.over or found.total > AT_ONCE
    wish = await _wish(tx, asking, f"{Kind.BATCH} {batch}", waits=waits)
    if not found.over:
        await tx.ask_cancel_batch(asking.tenant, batch)
        await tx.add_remnants(wish.id, [Remnant(Kind.BATCH, asking.tenant, batch)])
        return wish
    counts, is_left = await tx.erase_batch(wish.id, batch, limit=AT_ONCE)
    if is_left:
        await tx.add_remnants(wish.id, [Remnant(Kind.BATCH, asking.tenant, batch)])
    return await noted(tx, wish, counts)


async def delete_jobs(tx: Transaction, asking: Asking, sweep: Sweep) -> Deletion:
    """A dispatcher looks for them. Raises TooManyDeletions."""
    return await _wish(tx, asking, "jobs", waits=True, sweep=sweep)


async def delete_tenant(tx: Transaction, asking: Asking) -> Deletion:
    """All that it has until now; its keys, its terms and its account stay. Raises TooManyDeletions."""
    sweep = Sweep(made_before=await tx.now(), cancel=True, everything=True)
    return await _wish(tx, asking, EVERYTHING, waits=True, sweep=sweep)


async def _wish(
    tx: Transaction, asking: Asking, subject: str, *, waits: bool, sweep: Sweep | None = None
) -> Deletion:
    if waits and await tx.open_deletions(asking.tenant, at_most=MOST_OPEN) >= MOST_OPEN:
        raise TooManyDeletions(MOST_OPEN)
    now = await tx.now()
    await tx.audit([Deed(asking.who, "delete", subject, {"tenant": asking.tenant})])
    return await tx.insert_deletion(
        Deletion(
            id=DeletionId(asking.new_id()),
            tenant=asking.tenant,
            subject=subject,
            who=asking.who,
            sweep=sweep,
            next_at=now if waits else now + _FIRST_LOOK,
        )
    )


async def clear(
    store: Store, places: Places, deletion: DeletionId, *, moved: bool = False
) -> Deletion | None:
    """Remove what lies outside the store, as far as it can be reached, and see whether that was all.

    A wish that could not be gone on with is looked at again later, ever more rarely; `moved`: it was.
    None: there is no such wish any more.
    """
    async with store.begin() as tx:
        left = await tx.remnants(deletion, _OUTSIDE, limit=AT_ONCE)
    gone = await _removed(places, left)
    async with store.begin() as tx:
        found = await tx.lock_deletion(deletion)
        if found is None or found.finished_at is not None:
            return found
        dropped = await tx.drop_remnants(deletion, gone)
        told = [_TOLD_AS[each.kind] for each in dropped if each.kind in _TOLD_AS]
        removed = added(found.removed, Counter(told))
        over = found.sweep is None and not await tx.remnants(deletion, tuple(Kind), limit=1)
        tries = 0 if moved or dropped else found.tries + 1
        wait = timedelta(seconds=min(2.0**tries / 2, _LONGEST_WAIT_S) if tries else 0)
        next_at = None if over else await tx.now() + wait
        after = replace(found, removed=removed, tries=min(tries, _MOST_TRIES), next_at=next_at)
        await tx.save_deletion(after)
        return after


async def _removed(places: Places, left: Sequence[Remnant]) -> list[Remnant]:
    """Those that are gone for sure."""
    of = {kind: [each for each in left if each.kind is kind] for kind in _OUTSIDE}
    gone: list[Remnant] = []
    with suppress(Unavailable):  # the bytes can go all the same
        await places.streams.discard([JobId(each.name) for each in of[Kind.LOG]])
        gone += of[Kind.LOG]
        if places.producers is not None:
            await places.producers.forget([JobId(each.name) for each in of[Kind.PRODUCER]])
            gone += of[Kind.PRODUCER]
    with suppress(Unavailable):
        for each in of[Kind.BLOB]:
            await places.blobs.delete(each.tenant, BlobId(each.name))
            gone.append(each)
        for each in of[Kind.UPLOAD]:
            await places.blobs.abandon(each.tenant, UploadId(each.name))
            gone.append(each)
    return gone


async def erased(
    tx: Transaction,
    deletion: Deletion,
    *,
    jobs: Sequence[JobId] = (),
    runs: Sequence[RunId] = (),
) -> Deletion:
    return await noted(tx, deletion, await tx.erase(deletion.id, jobs=jobs, runs=runs))


async def noted(tx: Transaction, deletion: Deletion, counts: Mapping[str, int]) -> Deletion:
    after = replace(deletion, removed=added(deletion.removed, counts))
    await tx.save_deletion(after)
    return after


async def run_of(tx: Transaction, job: Job) -> Run | None:
    """Whose job it is, as the run itself says; its label is only a hint."""
    name = job.spec.labels.get(RUN_LABEL)
    run = None if name is None else await tx.find_run(job.tenant, RunId(name))
    if run is None or job.id not in jobs_of(run, await tx.pieces(run.id)):
        return None
    return run


async def batch_of(tx: Transaction, job: Job) -> Batch | None:
    """Whose item it is, as long as that is there."""
    item = item_of(job)
    look = None if item is None else await tx.look_at_batch(job.tenant, item[0])
    return None if look is None else look.batch


def added(before: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(before) + Counter(more))
