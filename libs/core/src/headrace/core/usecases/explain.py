"""Read, in one transaction, what explains why a job waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from headrace.contracts.ids import JobId, Lane, TenantId, WorkerId
from headrace.contracts.messages import WarmModel
from headrace.contracts.remote import is_remote
from headrace.core import crew
from headrace.core.errors import JobNotFound
from headrace.core.explain import Before, Facts, Gang, Inside
from headrace.core.job import Job, State
from headrace.core.ports.operations import Member
from headrace.core.ports.store import Store, Transaction, WorkerRecord
from headrace.core.usecases.gather import takes_part
from headrace.core.usecases.placement import MOST_WORKERS, warm_models
from headrace.core.wants import read

HEARD_WITHIN: Final = timedelta(seconds=30)


def heard_within(lane: Lane) -> timedelta:
    """For how long a worker of this lane counts as there after it was heard of."""
    return crew.HEARD_WITHIN if is_remote(lane) else HEARD_WITHIN


async def facts_about(
    store: Store, tenant: TenantId, job: JobId, *, everybodys: bool = False
) -> Facts:
    """`everybodys`: for an operator, who may know of other tenants' jobs. Raises JobNotFound."""
    async with store.begin() as tx:
        found = await tx.find(tenant, job)
        if found is None:
            raise JobNotFound(job)
        now = await tx.now()
        fleet = await tx.fleet(limit=MOST_WORKERS)
        return Facts(
            job=found,
            now=now,
            paused=await tx.paused(),
            troubles=await tx.troubles(),
            workers=await _workers(tx, found),
            terms=await tx.terms(tenant),
            crowd=await tx.crowd(found),
            ahead=await tx.ahead(found) if found.state is State.QUEUED else 0,
            warm=_warm(fleet, found, now),
            inside=await _inside(tx, fleet, found, now, everybodys=everybodys),
            gang=None if found.spec.nodes == 1 else await _gang(tx, fleet, found, now),
        )


async def _inside(
    tx: Transaction, fleet: Sequence[Member], job: Job, now: datetime, *, everybodys: bool
) -> Inside | None:
    """What its worker has said of this very attempt, while that is heard of."""
    worker = next((each for each in fleet if each.id == job.worker), None)
    if worker is None or worker.vitals is None or worker.seen_at <= now - HEARD_WITHIN:
        return None
    said = next(
        (it for it in worker.vitals.waits or () if (it.job, it.epoch) == (job.id, job.epoch)), None
    )
    if said is None:
        return None
    there = await tx.load([each.job for each in said.held_by])
    before = [
        Before(each.job, worker.seen_at - timedelta(seconds=each.for_s))
        for each in said.held_by
        if each.job in there and (everybodys or there[each.job].tenant == job.tenant)
    ]
    return Inside(
        what=said.what,
        since=worker.seen_at - timedelta(seconds=said.for_s),
        note=said.note,
        before=before,
        others=len(said.held_by) - len(before),
    )


async def _gang(tx: Transaction, fleet: Sequence[Member], job: Job, now: datetime) -> Gang:
    able = [
        each
        for each in fleet
        if takes_part(each, job.path, now - HEARD_WITHIN) and each.slots.get(job.lane, 0) > 0
    ]
    there = (await tx.members([job.id])).get(job.id, [])
    return Gang(len(able), [each.worker for each in there if each.until > now])


def _warm(fleet: Sequence[Member], job: Job, now: datetime) -> dict[WorkerId, WarmModel]:
    return {
        member.id: each
        for member in fleet
        for each in warm_models(member, now)
        if (each.lane, each.model) == (job.lane, job.spec.model)
    }


async def _workers(tx: Transaction, job: Job) -> list[WorkerRecord]:
    """Of ours; and remote ones that may have this job, with their threads as slots of its lane."""
    now = await tx.now()
    seen = await tx.workers(seen_after=now - crew.HEARD_WITHIN)
    ours = [each for each in seen if each.seen_at > now - HEARD_WITHIN]
    if job.spec.wants is None:
        return ours
    wants = read(job.spec.wants)
    at_work = {each.id: each for each in await crew.at_work(tx, wants.kind)}
    fitting = {each.id for each in crew.fitting(at_work.values(), wants)}
    remote = [
        replace(each, slots={job.lane: crew.threads_of(at_work[each.id])})
        for each in seen
        if each.id in fitting
    ]
    return [*(each for each in ours if each.id not in at_work), *remote]
