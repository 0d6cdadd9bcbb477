"""Decide who runs a job: each execution is granted once, with an epoch and a lease.

Idempotent by claim id: a claim that is sent again, because its answer was lost, gets the same grant
for as long as it holds the job, with its lease renewed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from headrace.contracts.ids import ClaimId, JobId, Lane, WorkerId
from headrace.contracts.messages import Claim, Grant, Refusal, Take
from headrace.core.announce import announcement
from headrace.core.job import HELD, Event, Job, State, Verdict, advance
from headrace.core.ports.store import Change, Renewal, Store, Waiting
from headrace.core.ports.streams import Batch
from headrace.core.usecases.placement import Placement


@dataclass(frozen=True, slots=True)
class Claimed:
    answers: list[Grant | Refusal]
    announcements: list[Batch]
    won: list[Change]
    jobs: Mapping[JobId, Job]  # as they are now
    at: datetime  # on the store's clock


async def claim(
    store: Store,
    worker: WorkerId,
    claims: Sequence[Claim],
    *,
    lease: timedelta,
    placement: Placement | None = None,
) -> Claimed:
    """Without `placement` whoever asks first gets it."""
    async with store.begin() as tx:
        now = await tx.now()
        until = now + lease
        jobs = await tx.load([claim.job for claim in claims])
        withheld = _withheld(jobs.values(), await tx.paused())
        placed: list[Job] = []
        if placement is not None:
            cold = [job for job in _cold(jobs, claims) if job not in withheld]
            placed = await placement.better_elsewhere(tx, worker, cold)
        # Offered again: when its lane goes on, or at once for a worker that has its model.
        again = {job.id: job for job in (*withheld, *placed)}
        await tx.resend([_its_offer(job) for job in again.values()])
        runnable = {job.id: job for job in jobs.values() if job.id not in again}
        changes = _changes(runnable, claims, worker, until)
        saved = await tx.save(changes)
        won = [change for change, ok in zip(changes, saved, strict=True) if ok]
        await tx.open_attempts([change.after for change in won])
        # Who asks again counts the lease from then on: so it does not end before that.
        renewed = [
            Renewal(job.id, job.epoch, None)
            for each in claims
            if (job := jobs.get(each.job)) is not None and holds(job, each.id)
        ]
        await tx.renew(renewed, worker=worker, until=until)
    if placement is not None:
        placement.granted(worker, [change.after for change in won])
    previous = {change.before.id: change.before.attempt_trace for change in won}
    elsewhere = {job.id for job in placed}
    held = jobs | {change.after.id: change.after for change in won}
    return Claimed(
        [
            Refusal(each.id, each.job, "elsewhere")
            if each.job in elsewhere
            else _answer(held.get(each.job), each, lease, previous.get(each.job))
            for each in claims
        ],
        [announcement(change) for change in won],
        won,
        held,
        now,
    )


def _cold(jobs: Mapping[JobId, Job], claims: Sequence[Claim]) -> list[Job]:
    """Those that could be granted, to a slot that says that it has another model loaded."""
    return [
        job
        for each in claims
        if (job := jobs.get(each.job)) is not None
        and (job.state, job.epoch) == (State.QUEUED, each.epoch)
        and job.cancel_asked_at is None
        and each.warm is not None
        and job.spec.model not in each.warm
    ]


def _withheld(jobs: Iterable[Job], paused: Collection[Lane]) -> list[Job]:
    """Offered before their lane was paused, and not started yet."""
    return [job for job in jobs if job.state is State.QUEUED and job.lane in paused]


def _its_offer(job: Job) -> Waiting:
    return Waiting(job.id, job.epoch, job.tenant, job.trace)


def _changes(
    jobs: Mapping[JobId, Job], claims: Sequence[Claim], worker: WorkerId, until: datetime
) -> list[Change]:
    changes: dict[JobId, Change] = {}
    for claim in claims:
        change = _change(jobs.get(claim.job), claim, worker, until)
        if change is not None:
            changes.setdefault(claim.job, change)  # two offers of one job: the first claim wins
    return list(changes.values())


def _change(job: Job | None, claim: Claim, worker: WorkerId, until: datetime) -> Change | None:
    if job is None or job.cancel_asked_at is not None or job.spec.nodes > 1:
        return None  # of a gang nobody is granted a part alone: see `gather`
    verdict, granted = advance(job, Event.GRANTED, epoch=claim.epoch)
    if verdict is Verdict.STALE:
        return None
    return Change(job, held_by(granted, worker, claim, until))


def held_by(job: Job, worker: WorkerId, claim: Claim | Take, until: datetime) -> Job:
    return replace(job, worker=worker, claim=claim.id, lease_until=until, attempt_trace=claim.trace)


def _answer(
    job: Job | None, claim: Claim, lease: timedelta, previous: str | None
) -> Grant | Refusal:
    if job is None:
        return Refusal(claim.id, claim.job, "unknown")
    if holds(job, claim.id):
        return grant_of(job, lease, previous)
    if job.terminal or job.cancel_asked_at is not None:
        return Refusal(claim.id, claim.job, "over")
    return Refusal(claim.id, claim.job, "stale" if job.state is State.QUEUED else "taken")


def holds(job: Job, claim: ClaimId) -> bool:
    return job.state in HELD and job.claim == claim


def grant_of(job: Job, lease: timedelta, previous: str | None) -> Grant:
    """To who holds it. Raises ValueError when nobody does."""
    if job.claim is None:
        raise ValueError(f"job {job.id} is {job.state}: nobody holds it")
    return Grant(
        claim=job.claim,
        job=job.id,
        tenant=job.owner,
        epoch=job.epoch,
        attempt=job.attempt,
        lease_s=lease.total_seconds(),
        kind=job.spec.kind,
        model=job.spec.model,
        input=job.spec.input,
        timeout_s=job.spec.timeout_s,
        trace=job.trace,
        previous=previous,
        checkpoint=None if job.checkpoint is None else job.checkpoint.blob,
        checkpoint_step=None if job.checkpoint is None else job.checkpoint.step,
        artefact=job.artefact,
    )
