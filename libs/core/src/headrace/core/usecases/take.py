"""Give a remote worker the next job that fits it: in the fair order, granted as any claim is.

Jobs that workers of ours were offered may be taken too; who claims such an offer then is refused. What
decides is read in one transaction that holds the right to release, so caps hold beside `choose`.

Idempotent by the take's id: while it holds the job, the same take gets the same grant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from msgspec.structs import replace as with_fields

from headrace.contracts.frames import Queued, encode_frame
from headrace.contracts.ids import ClaimId, JobId, Lane, TenantId, WorkerId
from headrace.contracts.messages import INPUT_BLOB, Grant, Take, Taken
from headrace.contracts.remote import is_remote, remote_lane
from headrace.core.announce import announcement
from headrace.core.fair_share import Share, Turn, in_ring, visits
from headrace.core.job import Event, Job, State, Verdict, advance
from headrace.core.ports.remotes import Candidate, Class, TakeRecord
from headrace.core.ports.store import Change, Renewal, Store, Transaction
from headrace.core.ports.streams import Batch
from headrace.core.usecases.choose import Turns
from headrace.core.usecases.claim import Claimed, grant_of, held_by, holds
from headrace.core.usecases.explain import HEARD_WITHIN
from headrace.core.usecases.heartbeat import LONGEST_LEASE_S
from headrace.core.wants import alike, model_for, read, says_any_of, why_not

YOUNG_OFFER: Final = timedelta(seconds=2)  # a worker of ours with a free slot claims it sooner
YOUNG_JOB: Final = timedelta(seconds=0.25)  # it is offered sooner, where there is room
_TENANTS_AT_ONCE: Final = 64
_PAGES_AT_MOST: Final = 32  # of tenants; who comes later has its turn later
_HEADS: Final = 4  # of one tenant and class
_OTHER_KIND: Final = "kind"  # of worker: nothing that it should hear of
_HEADS_WITH_BLACKLIST: Final = 32  # what is barred stands before what is not


@dataclass(frozen=True, slots=True)
class TakenUp:
    answer: Taken
    claimed: Claimed | None = None  # None: nothing was granted just now
    wants: str = ""  # of the job that was granted
    soon: bool = False  # nothing was granted, but something may be in a moment
    seen: Sequence[Class] | None = None  # all that waits; None: not all of it was looked at
    over: bool = False  # nobody waits for the answer any more


@dataclass(frozen=True, slots=True)
class Fit:
    """What waits, seen by one worker."""

    classes: list[str]  # that it may have
    skipped: dict[str, int]  # jobs of the others, by the reason


@dataclass(slots=True)
class _Search:
    """One look for one worker."""

    take: Take
    path: str
    classes: list[str]
    barred: set[JobId] = field(default_factory=set)  # by its blacklist
    soon: bool = False  # what it may not have yet it may have in a moment
    kept: Container[JobId] = ()  # not offered, so that a remote worker may have it
    served: set[Lane] | None = None  # by workers of ours; None: nobody asked yet


@dataclass(frozen=True, slots=True)
class _Found:
    job: Job
    candidate: Candidate
    after: Turn


def fit(classes: Sequence[Class], take: Take, worker: WorkerId) -> Fit:
    """Which classes a worker may have, and why not the others."""
    found = Fit([], {})
    for each in classes:
        reason = _why_not(each, take, worker)
        if reason is None:
            found.classes.append(each.wants)
        elif reason != _OTHER_KIND:
            found.skipped[reason] = found.skipped.get(reason, 0) + each.waiting
    return found


def _why_not(each: Class, take: Take, worker: WorkerId) -> str | None:
    wants = read(each.wants)
    return why_not(wants, take.skill, worker) if wants.kind == take.skill.kind else _OTHER_KIND


async def take(  # what it decides with, each by its name
    store: Store,
    worker: WorkerId,
    asked: Take,
    *,
    paths: Sequence[str],
    turns: Mapping[str, Turns],
    kept: Container[JobId] = (),
) -> TakenUp:
    """On the first of these paths that has something for it. `kept`: see `_is_ours_first`."""
    async with store.begin() as tx:
        slots = {remote_lane(asked.skill.kind): asked.slots}
        if await tx.see_worker(worker, slots, path=paths[0]):
            return TakenUp(Taken(asked.id, drain=True))
        skipped: dict[str, int] = {}
        soon = False
        waiting: list[Class] = []
        for path in paths:
            classes = await tx.classes(path)
            waiting += classes
            seen = fit(classes, asked, worker)
            _add(skipped, seen.skipped)
            if not seen.classes:
                continue
            if asked.until is not None and await tx.now() > asked.until:
                return TakenUp(Taken(asked.id), over=True)
            await tx.hold_release()
            if (known := await tx.take(asked.id)) is not None:
                return await _again(tx, worker, asked, known)
            search = _Search(asked, path, seen.classes, kept=kept)
            found = await _next(tx, search, turns[path])
            soon = soon or search.soon
            if search.barred:
                _add(skipped, {"blacklist": len(search.barred)})
            if found is not None:
                return await _grant(tx, worker, search, found)
    return TakenUp(Taken(asked.id, skipped=skipped), soon=soon, seen=waiting)


async def taken_before(store: Store, worker: WorkerId, asked: Take) -> TakenUp | None:
    """What it was granted when its answer was lost, if it was; whether anything else waits or not."""
    async with store.begin() as tx:
        known = await tx.take(asked.id)
        return None if known is None else await _again(tx, worker, asked, known)


def _add(all_: dict[str, int], more: Mapping[str, int]) -> None:
    for reason, count in more.items():
        all_[reason] = all_.get(reason, 0) + count


def _lease(asked: Take) -> timedelta:
    return timedelta(seconds=min(asked.lease_s, LONGEST_LEASE_S))


async def _again(tx: Transaction, worker: WorkerId, asked: Take, known: TakeRecord) -> TakenUp:
    """Its answer was lost: the leases count from now on. What it lost meanwhile it does not get back."""
    first, *more = [await _renewed(tx, worker, asked, claim) for claim in (asked.id, *asked.more)]
    if first is None:
        return TakenUp(Taken(asked.id))
    others = [with_fields(grant, input={}) for grant in more if grant is not None]
    return TakenUp(Taken(asked.id, first, known.model, more=others))


async def _renewed(tx: Transaction, worker: WorkerId, asked: Take, claim: ClaimId) -> Grant | None:
    known = await tx.take(claim)
    job = None if known is None else (await tx.load([known.job])).get(known.job)
    if job is None or not holds(job, claim):
        return None
    until = await tx.now() + _lease(asked)
    await tx.renew([Renewal(job.id, job.epoch, None)], worker=worker, until=until)
    return _as_told(job, asked, None)


async def _next(tx: Transaction, search: _Search, turns: Turns) -> _Found | None:
    """Those first whose jobs the worker puts before all others, then everybody in the ring."""
    if first := [Share(tenant) for tenant in dict.fromkeys(search.take.skill.first)]:
        found = await _of_page(tx, search, first, Turn())
        if found is not None:
            return found
    lane = remote_lane(search.take.skill.kind)
    turn = turns.last.get(lane, Turn())
    async for page in _ring(tx, search.path, turn):
        found = await _of_page(tx, search, page, turn)
        if found is not None:
            turns.last[lane] = found.after
            return found
    return None


async def _ring(tx: Transaction, path: str, turn: Turn) -> AsyncIterator[list[Share]]:
    """Page by page from whose turn it is, once around."""
    seen: set[TenantId] = set()
    start, wrapped = turn.tenant, turn.tenant is None
    for _ in range(_PAGES_AT_MOST):
        shares = await tx.wanting(path, start=start, limit=_TENANTS_AT_ONCE)
        skip = None if wrapped or turn.deficit else turn.tenant  # its turn is over: it comes last
        if page := [each for each in shares if each.tenant not in seen and each.tenant != skip]:
            seen |= {share.tenant for share in page}
            yield page
        if len(shares) == _TENANTS_AT_ONCE:
            start = shares[-1].tenant
        elif wrapped:
            return
        else:
            start, wrapped = None, True


async def _of_page(
    tx: Transaction, search: _Search, shares: Sequence[Share], turn: Turn
) -> _Found | None:
    """The next job of these tenants that the worker may have, and whose turn it was."""
    each = _HEADS_WITH_BLACKLIST if search.take.skill.blacklist else _HEADS
    tenants = [share.tenant for share in shares]
    heads = await tx.fitting(search.path, tenants, search.classes, each=each)
    for share in in_ring(shares, turn):
        waiting = heads.get(share.tenant, [])
        for candidate in waiting:
            job = await _may_have(tx, search, candidate)
            if job is not None:
                after = visits([share], {share.tenant: len(waiting)}, 1, turn)[1]
                return _Found(job, candidate, after)
    return None


async def _may_have(tx: Transaction, search: _Search, candidate: Candidate) -> Job | None:
    """The job, if it still waits, its words are not barred, and its tenant has room for it."""
    job = (await tx.load([candidate.job])).get(candidate.job)
    if job is None or job.state is not State.QUEUED or job.cancel_asked_at is not None:
        return None
    words = search.take.skill.blacklist
    if words and _is_barred(words, job):
        search.barred.add(job.id)
        return None
    if await _is_ours_first(tx, search, candidate, job):
        search.soon = True
        return None
    # What is offered is counted already.
    return job if candidate.offered_at is not None or await _has_room(tx, job) else None


async def _is_ours_first(tx: Transaction, search: _Search, candidate: Candidate, job: Job) -> bool:
    """What is offered, or about to be, to workers of ours is left to them for a moment.

    They would have nothing else where remote ones are quicker to ask. What is kept for remote workers
    is not offered; see `release`.
    """
    if is_remote(candidate.lane) or job.id in search.kept:
        return False
    now, came = await tx.now(), job.not_before or job.created_at
    if candidate.offered_at is not None:
        young = now - candidate.offered_at < YOUNG_OFFER
    else:
        young = job.attempt == 0 and came is not None and now - came < YOUNG_JOB
    if not young:
        return False
    if search.served is None:
        seen = await tx.workers(seen_after=now - HEARD_WITHIN)
        search.served = {lane for each in seen for lane in each.slots if each.room(lane)}
    return candidate.lane in search.served


async def _has_room(tx: Transaction, job: Job) -> bool:
    """Below its tenant's caps, as `choose` counts them."""
    terms = await tx.terms(job.tenant)
    if terms.max_running is None and terms.max_running_per_lane is None:
        return True
    crowd = await tx.crowd(job)
    taken = (crowd.taken_by_tenant, crowd.taken_by_tenant_in_lane)
    caps = (terms.max_running, terms.max_running_per_lane)
    return all(cap is None or has < cap for cap, has in zip(caps, taken, strict=True))


def _is_barred(words: Collection[str], job: Job) -> bool:
    """What cannot be read here, since it is too large, is not given to who bars words."""
    told = _told(job)
    if INPUT_BLOB in told:
        return True
    inner: Any = told.get("payload")
    prompt = told.get("prompt") or (inner.get("prompt") if isinstance(inner, dict) else None)
    return says_any_of(words, str(prompt or ""))


@dataclass(frozen=True, slots=True)
class _Held:
    change: Change
    grant: Grant
    model: str


async def _grant(tx: Transaction, worker: WorkerId, search: _Search, found: _Found) -> TakenUp:
    """The job; and with it those of its kind for which the worker has room, as one turn of their tenant's."""
    asked, wants = search.take, found.candidate.wants
    first = await _hold(tx, worker, asked, asked.id, found)
    if first is None:
        return TakenUp(Taken(asked.id))
    held = [first]
    if asked.more:
        held += [each async for each in _alike(tx, worker, search, found)]
    others = [with_fields(each.grant, input={}) for each in held[1:]]
    changes = [each.change for each in held]
    claimed = Claimed(
        [each.grant for each in held],
        [batch for each in held for batch in _announced(each.change)],
        changes,
        {change.after.id: change.after for change in changes},
        await tx.now(),
    )
    return TakenUp(Taken(asked.id, first.grant, first.model, more=others), claimed, wants)


async def _alike(
    tx: Transaction, worker: WorkerId, search: _Search, found: _Found
) -> AsyncIterator[_Held]:
    """Jobs that wait behind it and ask for the very same but for the seed."""
    claims, like = list(search.take.more), found.candidate
    each = len(claims) + 1
    heads = await tx.fitting(search.path, [like.tenant], [like.wants], each=each)
    for candidate in heads.get(like.tenant, []):
        job = await _may_have(tx, search, candidate)
        if job is None or not alike(_told(found.job), _told(job)):
            continue
        held = await _hold(
            tx, worker, search.take, claims.pop(0), _Found(job, candidate, found.after)
        )
        if held is not None:
            yield held
        if not claims:
            return


async def _hold(
    tx: Transaction, worker: WorkerId, asked: Take, claim: ClaimId, found: _Found
) -> _Held | None:
    """None: somebody else was first."""
    job, until = found.job, await tx.now() + _lease(asked)
    verdict, granted = advance(job, Event.GRANTED, epoch=found.candidate.epoch)
    if verdict is Verdict.STALE:
        return None
    change = Change(job, held_by(granted, worker, with_fields(asked, id=claim), until))
    (won,) = await tx.save([change])
    if not won:
        return None
    await tx.open_attempts([change.after])
    model = model_for(read(found.candidate.wants), asked.skill)
    await tx.note_take(_record(claim, worker, change.after, model))
    return _Held(change, _as_told(change.after, asked, job.attempt_trace), model)


def _announced(change: Change) -> list[Batch]:
    told = [announcement(change)]
    if change.before.epoch == 0:  # its log begins with this, also where it was offered to nobody
        told.insert(0, Batch(change.after.id, 0, [("queued", encode_frame(Queued()))], first_seq=1))
    return told


def _record(claim: ClaimId, worker: WorkerId, job: Job, model: str) -> TakeRecord:
    return TakeRecord(
        claim=claim, job=job.id, tenant=job.owner, epoch=job.epoch, worker=worker, model=model
    )


def _as_told(job: Job, asked: Take, previous: str | None) -> Grant:
    """With what is meant for a worker outside, where that is not the engine's own input."""
    grant = grant_of(job, _lease(asked), previous)
    return with_fields(grant, input=_told(job))


def _told(job: Job) -> dict[str, Any]:
    return job.spec.payload or job.spec.input
