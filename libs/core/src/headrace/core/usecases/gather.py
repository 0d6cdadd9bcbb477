"""Gather the workers of a job that several run together: all of them are granted it at once, or none is.

Laws:
1. One job of a path gathers at a time. So two never wait for each other's workers.
2. Nobody is called for a job for which there are not enough workers.
3. A gathering has an end, and then the job rests: no slot is held idle for longer at a stretch.
4. Who does not say again that it waits is none of them: whoever vanished is not granted anything.
5. The grant is one: one attempt, one epoch; the job's lease lasts for as long as that of every member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import structs

from headrace.contracts.ids import Lane, TenantId, WorkerId
from headrace.contracts.messages import Claim, Grant, Offer, Part, Refusal
from headrace.core.announce import announcement
from headrace.core.job import HELD, Event, Job, State, advance
from headrace.core.ports.gangs import GangMember, Gathering
from headrace.core.ports.operations import Member
from headrace.core.ports.store import Change, Renewal, Store, Transaction, Waiting
from headrace.core.usecases.claim import Claimed, grant_of, held_by

MOST_WORKERS: Final = 2_000  # that are looked at
MOST_JOBS: Final = 200  # likewise, until one has enough workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    within: timedelta = timedelta(seconds=60)  # for all to come together
    rest: timedelta = timedelta(seconds=60)  # before the next try
    joined_for: timedelta = timedelta(seconds=10)  # that one counts who does not say it again
    seen_within: timedelta = timedelta(seconds=30)  # whom heartbeats show


@dataclass(frozen=True, slots=True)
class Call:
    """To one worker: come and run your part."""

    worker: WorkerId
    offer: Offer
    tenant: TenantId
    trace: str | None


async def call(store: Store, *, path: str, ours: str, patience: Patience) -> list[Call]:
    """Call whoever is missing where a job gathers; else let the next one begin that can.

    `path` is that of the jobs, `ours` that of the workers who hear us: usually the same.
    """
    async with store.begin() as tx:
        gathering = await tx.gathering(path)
        if not gathering and not await tx.next_gangs(path, rest=patience.rest, limit=1):
            return []
        fleet = _able(await tx.fleet(limit=MOST_WORKERS), ours, await tx.now(), patience)
        if not gathering:
            await tx.hold_release()
            gathering = await tx.gathering(path) or await _begun(tx, path, fleet, patience)
        return [made for each in gathering for made in await _calls(tx, each, fleet)]


def _able(
    fleet: Sequence[Member], path: str, now: datetime, patience: Patience
) -> dict[Lane, list[WorkerId]]:
    """Who could take part, by lane."""
    able: dict[Lane, list[WorkerId]] = {}
    for member in fleet:
        if takes_part(member, path, now - patience.seen_within):
            for lane, slots in member.slots.items():
                if slots > 0:
                    able.setdefault(lane, []).append(member.id)
    return able


def takes_part(member: Member, path: str, seen_after: datetime) -> bool:
    vitals = member.vitals
    leaves = member.drain_asked_at is not None or (vitals is not None and vitals.draining)
    reached = vitals is not None and vitals.at is not None
    return reached and not leaves and member.path == path and member.seen_at > seen_after


async def _begun(
    tx: Transaction, path: str, fleet: dict[Lane, list[WorkerId]], patience: Patience
) -> list[Gathering]:
    """The first that has enough workers and stands at no cap, of whoever has least."""
    waiting = await tx.next_gangs(path, rest=patience.rest, limit=MOST_JOBS)
    until = await tx.now() + patience.within
    for each in await _in_turn(tx, waiting):
        job = await tx.find(each.tenant, each.job)
        if job is None or job.cancel_asked_at is not None:
            continue
        if len(fleet.get(each.lane, ())) < job.spec.nodes:
            continue
        row = Waiting(each.job, each.epoch, each.tenant, each.trace)
        if await tx.reserve([row], until=until):
            await tx.disband([each.job])  # what is left of a gathering before this one
            return [each]
    return []


async def _in_turn(tx: Transaction, waiting: Sequence[Gathering]) -> list[Gathering]:
    taken: dict[TenantId, int] = {}
    for each in waiting:
        if each.tenant not in taken:
            taken[each.tenant] = await _taken(tx, each)
    allowed = [each for each in waiting if taken[each.tenant] >= 0]
    return sorted(allowed, key=lambda each: taken[each.tenant])


async def _taken(tx: Transaction, first: Gathering) -> int:
    """How much this tenant has; -1: as much as it may."""
    job = await tx.find(first.tenant, first.job)
    if job is None:
        return -1
    terms, crowd = await tx.terms(job.tenant), await tx.crowd(job)
    in_all, in_lane = terms.max_running, terms.max_running_per_lane
    full = in_all is not None and crowd.taken_by_tenant >= in_all
    full = full or (in_lane is not None and crowd.taken_by_tenant_in_lane >= in_lane)
    return -1 if full else crowd.taken_by_tenant


async def _calls(tx: Transaction, each: Gathering, fleet: dict[Lane, list[WorkerId]]) -> list[Call]:
    """To all who have not come: whoever has a slot first is in."""
    job = await tx.find(each.tenant, each.job)
    if job is None:
        return []
    now = await tx.now()
    there = (await tx.members([job.id])).get(job.id, [])
    come = {member.worker for member in there if member.until > now}
    spec = job.spec
    offer = Offer(each.job, each.epoch, each.lane, nodes=spec.nodes, gpus=spec.gpus)
    missing = [worker for worker in fleet.get(each.lane, ()) if worker not in come]
    return [Call(worker, offer, each.tenant, each.trace) for worker in missing]


@dataclass(frozen=True, slots=True)
class Joined:
    """`claimed` is what this claim came to; empty answers: it waits, and says so again."""

    claimed: Claimed
    letters: list[tuple[str, Grant | Refusal]]  # to whose mailbox
    members: list[GangMember]  # in the order of their ranks, where this claim made the gang whole


async def join(
    store: Store,
    worker: WorkerId,
    reply_to: str,
    claim: Claim,
    *,
    lease: timedelta,
    patience: Patience,
) -> Joined:
    """Idempotent by claim id, as `claim` is: what is sent again renews, or gets the same answer."""
    async with store.begin() as tx:
        now = await tx.now()
        job = (await tx.load([claim.job])).get(claim.job)
        there = (await tx.members([claim.job])).get(claim.job, [])
        if job is not None and (mine := _runs(job, there, claim)) is not None:
            renewal = Renewal(job.id, job.epoch, None)
            await tx.renew([renewal], worker=worker, until=now + lease)
            first = next(each for each in there if each.rank == 0)
            return _answered(_part(job, mine, first, lease, None), reply_to, job, now)
        refusal = await _refused(tx, job, claim)
        if job is None or refusal is not None:
            await tx.quit_gangs(worker)
            refusal = refusal or Refusal(claim.id, claim.job, "unknown")
            return _answered(refusal, reply_to, job, now)
        until = now + patience.joined_for
        me = GangMember(
            job=job.id,
            worker=worker,
            epoch=job.epoch,
            claim=claim.id,
            reply_to=reply_to,
            at=claim.at or "",
            until=until,
        )
        await tx.join(me)
        others = [each for each in there if each.worker != worker and _waits(each, job, now)]
        if len(others) + 1 < job.spec.nodes:
            return Joined(Claimed([], [], [], {job.id: job}, now), [], [])
        return await _granted(tx, job, claim, [me, *others], lease)


def _runs(job: Job, there: Sequence[GangMember], claim: Claim) -> GangMember | None:
    if job.state not in HELD:
        return None
    appointed = (each for each in there if each.rank is not None and each.epoch == job.epoch)
    return next((each for each in appointed if each.claim == claim.id), None)


def _waits(member: GangMember, job: Job, now: datetime) -> bool:
    return member.rank is None and member.epoch == job.epoch and member.until > now


async def _refused(tx: Transaction, job: Job | None, claim: Claim) -> Refusal | None:
    if job is None:
        return None
    if job.terminal or job.cancel_asked_at is not None:
        return Refusal(claim.id, claim.job, "over")
    if job.state is not State.QUEUED:
        return Refusal(claim.id, claim.job, "taken")
    gathers = {each.job for each in await tx.gathering(job.path)}
    paused = job.lane in await tx.paused()
    if job.epoch != claim.epoch or job.id not in gathers or paused or claim.at is None:
        return Refusal(claim.id, claim.job, "stale")
    return None


async def _granted(
    tx: Transaction, job: Job, claim: Claim, present: Sequence[GangMember], lease: timedelta
) -> Joined:
    """Who made it whole is the first, since its word is the freshest; the others by how long they waited."""
    now = await tx.now()
    ranked, spare = present[: job.spec.nodes], present[job.spec.nodes :]
    first = ranked[0]
    held = held_by(advance(job, Event.GRANTED)[1], first.worker, claim, now + lease)
    change = Change(job, held)
    if not (await tx.save([change]))[0]:
        return _answered(Refusal(claim.id, job.id, "taken"), first.reply_to, job, now)
    await tx.open_attempts([held])
    await tx.appoint(held, [each.worker for each in ranked], until=now + lease)
    members = [replace(each, rank=rank) for rank, each in enumerate(ranked)]
    parts = [_part(held, each, first, lease, job.attempt_trace) for each in members]
    over = [Refusal(each.claim, job.id, "taken") for each in spare]
    answers: list[Grant | Refusal] = [*parts, *over]
    letters = list(zip((each.reply_to for each in present), answers, strict=True))
    claimed = Claimed([parts[0]], [announcement(change)], [change], {job.id: held}, now)
    return Joined(claimed, letters, members)


def _part(
    job: Job, mine: GangMember, first: GangMember, lease: timedelta, previous: str | None
) -> Grant:
    part = Part(mine.rank or 0, job.spec.nodes, first.at)
    return structs.replace(grant_of(job, lease, previous), claim=mine.claim, part=part)


def _answered(answer: Grant | Refusal, reply_to: str, job: Job | None, now: datetime) -> Joined:
    jobs = {} if job is None else {job.id: job}
    return Joined(Claimed([answer], [], [], jobs, now), [(reply_to, answer)], [])
