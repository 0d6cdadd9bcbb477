"""Delete on request: jobs, runs, whatever of a tenant's has a label or an age, and all that a tenant has.

Laws:
1. A wish is a row. What has ended leaves the store in the transaction of the wish, or in one of a
   dispatcher's; what lies outside of it (frames, blobs) is a list of remnants in the same transaction, and
   the wish is over when that is empty. So no crash forgets a piece, and doing it twice changes nothing.
2. What has not ended is refused, or asked to end and remains until it has.
3. A run goes as a whole, with every job that it made; none of these goes alone.
4. What comes later for a job that is gone brings nothing back: its log refuses frames, its results are
   stale and the blobs that they name are remnants, and no dead letter is made of it.
5. What is kept (the wish, the audit) names ids, the tenant, the key and the time, and counts; no content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from headrace.contracts.ids import BlobId, DeletionId, JobId, RunId, TenantId, UploadId
from headrace.core.errors import JobNotFound, JobNotOver, RunNotFound, RunNotReady, Unavailable
from headrace.core.errors_bulk import JobOfRun, TooManyDeletions
from headrace.core.job import Job
from headrace.core.ports.blobs import Blobs
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.deletions import Deletion, Kind, Remnant, Sweep
from headrace.core.ports.producers import Producers
from headrace.core.ports.queries import Search
from headrace.core.ports.store import Store, Transaction
from headrace.core.ports.streams import Streams
from headrace.core.run import Run
from headrace.core.usecases.cancel import wish_to_cancel
from headrace.core.usecases.follow import RUN_LABEL, jobs_of
from headrace.core.usecases.runs import cancel_run

KEPT: Final = timedelta(days=30)  # a wish that is over, and who was erased by it
MOST_OPEN: Final = 100  # wishes of one tenant that wait for something
_AT_ONCE: Final = 100  # jobs, runs or remnants
_FIRST_LOOK: Final = timedelta(seconds=5)  # until then whoever took the wish is at it
_ROWS_AT_ONCE: Final = 1000
_LONGEST_WAIT_S: Final = 30.0
_MOST_TRIES: Final = 10  # that make it wait longer
_INSIDE: Final = (Kind.JOB, Kind.RUN)
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
    """Again is the same wish. Raises JobNotFound, JobNotOver, JobOfRun, TooManyDeletions."""
    found = (await tx.load([job])).get(job)
    if found is None or found.tenant != asking.tenant:
        known = await tx.deletion_of(asking.tenant, f"{Kind.JOB} {job}")
        if known is None:
            raise JobNotFound(job)
        return known
    if (run := await _run_of(tx, found)) is not None:
        raise JobOfRun(job, run.id)
    if not found.terminal and not cancel:
        raise JobNotOver(job, found.state, "deleted")
    if not found.terminal and (asked := await tx.deletion_of(asking.tenant, f"{Kind.JOB} {job}")):
        return asked
    wish = await _wish(tx, asking, f"{Kind.JOB} {job}", waits=not found.terminal)
    if found.terminal:
        return await _erased(tx, wish, jobs=[job])
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
    return await _erased(tx, wish, jobs=jobs_of(found, await tx.pieces(run)), runs=[run])


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
        left = await tx.remnants(deletion, _OUTSIDE, limit=_AT_ONCE)
    gone = await _removed(places, left)
    async with store.begin() as tx:
        found = await tx.lock_deletion(deletion)
        if found is None or found.finished_at is not None:
            return found
        dropped = await tx.drop_remnants(deletion, gone)
        told = [_TOLD_AS[each.kind] for each in dropped if each.kind in _TOLD_AS]
        removed = _sum(found.removed, Counter(told))
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
    waiting = await tx.remnants(before.id, _INSIDE, limit=_AT_ONCE)
    deletion = before
    if before.sweep is not None and len(waiting) < _AT_ONCE:
        deletion = await _sweep(tx, before, before.sweep)
        waiting = await tx.remnants(before.id, _INSIDE, limit=_AT_ONCE)
    deletion = await _erase_ended(tx, deletion, waiting)
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
        limit=_AT_ONCE,
    )
    page = await tx.search(search)
    wanted: list[Remnant] = []
    for job in page.jobs:
        if not _fits(job, sweep):
            continue
        run = await _run_of(tx, job)
        over = job.terminal if run is None else run.over
        if not over and not sweep.cancel:
            continue
        wanted.append(
            Remnant(Kind.JOB, job.tenant, job.id)
            if run is None
            else Remnant(Kind.RUN, run.tenant, run.id)
        )
        if not over:
            await _stop(tx, job, run)
    await tx.add_remnants(deletion.id, wanted)
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


async def _stop(tx: Transaction, job: Job, run: Run | None) -> None:
    if run is None:
        await wish_to_cancel(tx, job.tenant, job.id)
    else:
        await cancel_run(tx, run.tenant, run.id)


async def _sweep_around(tx: Transaction, deletion: Deletion, sweep: Sweep) -> Deletion:
    """Of all that a tenant has: its runs without jobs, then the rest of its rows, at last its blobs."""
    first = (sweep.made_before, RunId(""))
    for run in await tx.page_runs(deletion.tenant, before=first, limit=_AT_ONCE):
        if not run.over:
            await cancel_run(tx, run.tenant, run.id)
        await tx.add_remnants(deletion.id, [Remnant(Kind.RUN, run.tenant, run.id)])
    around = await tx.erase_around(
        deletion.id, deletion.tenant, before=sweep.made_before, limit=_ROWS_AT_ONCE
    )
    deletion = replace(deletion, removed=_sum(deletion.removed, around))
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
        if (
            jobs[JobId(each.name)].terminal
            if JobId(each.name) in jobs
            else RunId(each.name) not in runs or runs[RunId(each.name)].over
        )
    ]
    if not gone:
        return deletion
    await tx.drop_remnants(deletion.id, gone)
    erased = await _erased(tx, deletion, jobs=[*ended, *of_runs], runs=[run.id for run in over])
    named = [each.name for each in gone]
    await tx.audit([] if _is_of_one(deletion) else [_tombstone(deletion, named)])
    return erased


def _runs_among(remnants: Sequence[Remnant]) -> list[RunId]:
    return sorted(RunId(each.name) for each in remnants if each.kind is Kind.RUN)


def _is_of_one(deletion: Deletion) -> bool:
    """Then the wish itself is what the audit keeps of it."""
    return deletion.subject.partition(" ")[0] in {Kind.JOB, Kind.RUN}


def _tombstone(deletion: Deletion, named: list[str]) -> Deed:
    detail = {"tenant": deletion.tenant, "deletion": deletion.id, "ids": named}
    return Deed(deletion.who, "delete", f"{len(named)} of {deletion.subject}", detail)


async def _erased(
    tx: Transaction,
    deletion: Deletion,
    *,
    jobs: Sequence[JobId] = (),
    runs: Sequence[RunId] = (),
) -> Deletion:
    counts = await tx.erase(deletion.id, jobs=jobs, runs=runs)
    after = replace(deletion, removed=_sum(deletion.removed, counts))
    await tx.save_deletion(after)
    return after


async def _run_of(tx: Transaction, job: Job) -> Run | None:
    """Whose job it is, as the run itself says; its label is only a hint."""
    name = job.spec.labels.get(RUN_LABEL)
    run = None if name is None else await tx.find_run(job.tenant, RunId(name))
    if run is None or job.id not in jobs_of(run, await tx.pieces(run.id)):
        return None
    return run


def _sum(before: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(before) + Counter(more))
