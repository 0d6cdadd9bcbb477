"""Go on with deletions: look a page further for what they are about, and erase of it what has ended.

The laws are those of `erase`; this is what a dispatcher does about them, a bounded step at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from headrace.contracts.ids import BatchId, DeletionId, JobId, RunId
from headrace.core.batch import Batch
from headrace.core.errors import Unavailable
from headrace.core.job import Job
from headrace.core.ports.blobs import Blobs
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.deletions import Deletion, Kind, Remnant, Sweep
from headrace.core.ports.queries import Search
from headrace.core.ports.store import Store, Transaction
from headrace.core.run import Run
from headrace.core.usecases.cancel import wish_to_cancel
from headrace.core.usecases.erase import AT_ONCE, Places, added, batch_of, clear, erased, run_of
from headrace.core.usecases.follow import jobs_of
from headrace.core.usecases.runs import cancel_run

_INSIDE: Final = (Kind.JOB, Kind.RUN, Kind.BATCH)  # of the store
_ROWS_AT_ONCE: Final = 1000
_Whole: TypeAlias = Job | Run | Batch  # that goes as one


@dataclass(frozen=True, slots=True)
class Went:
    deletions: list[Deletion]
    more: bool  # something went, and something is left


async def go_on(store: Store, places: Places, *, limit: int) -> Went:
    """What a dispatcher does about wishes: each that is due one step further."""
    async with store.begin() as tx:
        due = await tx.due_deletions(limit=limit)
        moved = [await _step(tx, each) for each in due]
    for each in due:
        await _sweep_blobs(store, places.blobs, each.id)
    done = [
        await clear(store, places, each.id, moved=went)
        for each, went in zip(due, moved, strict=True)
    ]
    known = [each for each in done if each is not None]
    more = any(each.next_at is not None and not each.tries for each in known)
    return Went(known, more or len(due) >= limit)


async def _step(tx: Transaction, before: Deletion) -> bool:
    """Look a little further for what it is about, and erase of it what has ended; whether anything moved."""
    waiting = await tx.remnants(before.id, _INSIDE, limit=AT_ONCE)
    deletion = before
    if before.sweep is not None and len(waiting) < AT_ONCE:
        deletion = await _sweep(tx, before, before.sweep)
        waiting = await tx.remnants(before.id, _INSIDE, limit=AT_ONCE)
    deletion = await _erase_ended(tx, deletion, waiting)
    deletion = await _erase_batches(tx, deletion, waiting)
    await tx.save_deletion(deletion)
    return deletion != before


async def _sweep(tx: Transaction, deletion: Deletion, sweep: Sweep) -> Deletion:
    """What is found remains, whether it has ended or not, until it is erased."""
    if sweep.blobs_after is not None:
        return deletion
    search = Search(
        tenant=deletion.tenant,
        created_before=sweep.made_before,
        label=next(iter(sweep.labels.items()), None),
        before=sweep.place,
        limit=AT_ONCE,
    )
    page = await tx.search(search)
    wholes: dict[Remnant, _Whole] = {}
    for job in page.jobs:
        if _fits(job, sweep):
            whole = await run_of(tx, job) or await batch_of(tx, job) or job
            wholes[_remnant(whole)] = whole
    await _want(tx, deletion, list(wholes.values()), sweep)
    if page.next is not None:
        return replace(deletion, sweep=replace(sweep, place=page.next))
    if sweep.everything:
        return await _sweep_around(tx, deletion, sweep)
    return replace(deletion, sweep=None)


def _fits(job: Job, sweep: Sweep) -> bool:
    if any(job.spec.labels.get(name) != value for name, value in sweep.labels.items()):
        return False
    if sweep.ended_before is None:
        return True
    return job.finished_at is not None and job.finished_at < sweep.ended_before


async def _want(
    tx: Transaction, deletion: Deletion, wholes: Sequence[_Whole], sweep: Sweep
) -> None:
    """They remain; what goes on is asked to end, if it may be. Batches last, as they are locked after jobs."""
    going = [each for each in wholes if not _over(each)]
    wanted = [each for each in wholes if sweep.cancel or each not in going]
    await tx.add_remnants(deletion.id, [_remnant(each) for each in wanted])
    for each in sorted(going if sweep.cancel else [], key=lambda each: isinstance(each, Batch)):
        await _stop(tx, each)


def _over(whole: _Whole) -> bool:
    return whole.terminal if isinstance(whole, Job) else whole.over


def _remnant(whole: _Whole) -> Remnant:
    match whole:
        case Job():
            return Remnant(Kind.JOB, whole.tenant, whole.id)
        case Run():
            return Remnant(Kind.RUN, whole.tenant, whole.id)
        case Batch():
            return Remnant(Kind.BATCH, whole.tenant, whole.id)


async def _stop(tx: Transaction, whole: _Whole) -> None:
    match whole:
        case Job():
            await wish_to_cancel(tx, whole.tenant, whole.id)
        case Run():
            await cancel_run(tx, whole.tenant, whole.id)
        case Batch():
            await tx.ask_cancel_batch(whole.tenant, whole.id)


async def _sweep_around(tx: Transaction, deletion: Deletion, sweep: Sweep) -> Deletion:
    """Of all that a tenant has: runs and batches without jobs, then the rest of its rows, at last its blobs."""
    runs = await tx.page_runs(deletion.tenant, before=(sweep.made_before, RunId("")), limit=AT_ONCE)
    looks = await tx.page_batches(
        deletion.tenant, before=(sweep.made_before, BatchId("")), limit=AT_ONCE
    )
    await _want(tx, deletion, [*runs, *(each.batch for each in looks)], sweep)
    around = await tx.erase_around(
        deletion.id, deletion.tenant, before=sweep.made_before, limit=_ROWS_AT_ONCE
    )
    deletion = replace(deletion, removed=added(deletion.removed, around))
    if around or await tx.remnants(deletion.id, _INSIDE, limit=1):
        return deletion
    return replace(deletion, sweep=replace(sweep, blobs_after=""))


async def _sweep_blobs(store: Store, blobs: Blobs, wish: DeletionId) -> None:
    """One page of a tenant's blobs: those that nobody names any more remain to be removed."""
    async with store.begin() as tx:
        known = await tx.deletion(None, wish)
    sweep = None if known is None else known[0].sweep
    if known is None or sweep is None or sweep.blobs_after is None:
        return
    tenant = known[0].tenant
    try:
        page = await blobs.page(after=sweep.blobs_after, limit=_ROWS_AT_ONCE, of=tenant)
    except Unavailable:
        return  # later
    async with store.begin() as tx:
        found = await tx.lock_deletion(wish)
        if found is None or found.sweep != sweep:
            return
        age_s = (await tx.now() - sweep.made_before).total_seconds()
        unused = await tx.unused([ref for ref, put_s in page.blobs if put_s > age_s])
        await tx.add_remnants(wish, [Remnant(Kind.BLOB, each.tenant, each.blob) for each in unused])
        after = None if page.next is None else replace(sweep, blobs_after=page.next)
        await tx.save_deletion(replace(found, sweep=after))


async def _erase_ended(tx: Transaction, deletion: Deletion, waiting: Sequence[Remnant]) -> Deletion:
    jobs = await tx.load([JobId(each.name) for each in waiting if each.kind is Kind.JOB])
    runs = {run.id: run for run in await tx.lock_runs(_runs_among(waiting))}
    over = [run for run in runs.values() if run.over]
    of_runs = [job for run in over for job in jobs_of(run, await tx.pieces(run.id))]
    ended = [job.id for job in jobs.values() if job.terminal]
    gone = [
        each
        for each in waiting
        if (each.kind is Kind.JOB and (each.name not in jobs or jobs[JobId(each.name)].terminal))
        or (each.kind is Kind.RUN and (each.name not in runs or runs[RunId(each.name)].over))
    ]
    if not gone:
        return deletion
    await tx.drop_remnants(deletion.id, gone)
    after = await erased(tx, deletion, jobs=[*ended, *of_runs], runs=[run.id for run in over])
    await _tell_of(tx, deletion, gone)
    return after


async def _erase_batches(
    tx: Transaction, deletion: Deletion, waiting: Sequence[Remnant]
) -> Deletion:
    """Those that are over, one behind the other: so many items in a step, however many they have."""
    of_batches = [each for each in waiting if each.kind is Kind.BATCH]
    known = await tx.lock_batches(sorted(BatchId(each.name) for each in of_batches))
    going = {batch.id for batch in known if not batch.over}
    room, gone = AT_ONCE, list[Remnant]()
    for each in of_batches:
        if each.name in going or room <= 0:
            continue
        counts, is_left = await tx.erase_batch(deletion.id, BatchId(each.name), limit=room)
        deletion = replace(deletion, removed=added(deletion.removed, counts))
        room -= counts.get("items", 0)
        gone += [] if is_left else [each]
    await tx.drop_remnants(deletion.id, gone)
    await _tell_of(tx, deletion, gone)
    return deletion


def _runs_among(remnants: Sequence[Remnant]) -> list[RunId]:
    return sorted(RunId(each.name) for each in remnants if each.kind is Kind.RUN)


async def _tell_of(tx: Transaction, deletion: Deletion, gone: Sequence[Remnant]) -> None:
    """In the audit; of a wish about one thing the wish itself is there."""
    if not gone or deletion.subject.partition(" ")[0] in _INSIDE:
        return
    detail = {
        "tenant": deletion.tenant,
        "deletion": deletion.id,
        "ids": [each.name for each in gone],
    }
    subject = f"{len(gone)} of {deletion.subject}"
    await tx.audit([Deed(deletion.who, "delete", subject, detail)])
