"""Retry a job by hand: a new job, linked to the old one. What has ended never lives again.

Whoever asks again for their own pays again; what operators try again costs nobody anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from headrace.contracts.ids import BlobId, JobId, KeyId, TenantId, UserId
from headrace.core.errors import JobNotFound, JobNotOver, UserNotFound
from headrace.core.gang import Gang
from headrace.core.job import Job, State
from headrace.core.ports.store import NewJob, Transaction
from headrace.core.ports.upkeep import BlobUse
from headrace.core.rollout import Choose
from headrace.core.usecases.kudos import hold
from headrace.core.usecases.pick import weights_of
from headrace.core.usecases.settle import settle_retried


async def retry(  # noqa: PLR0913  # what it makes, how and of whom, each by its name
    tx: Transaction,
    tenant: TenantId,
    job: JobId,
    *,
    new_id: Callable[[], str],
    trace: str | None,
    api_key: KeyId | None = None,
    choose: Choose | None = None,
) -> Job:
    """`choose` says which path the new one takes; None: that of the old one.

    What was quoted for the old one is held for the new one. Raises JobNotFound, JobNotOver, and what `hold`
    raises: then the transaction must roll back.
    """
    old = await tx.find(tenant, job)
    if old is None:
        raise JobNotFound(job)
    if not old.terminal:
        raise JobNotOver(job, old.state)
    again = _going_on(old, JobId(new_id()), trace, choose)
    again = replace(again, api_key=api_key, price=old.price)
    (made,) = await _insert(tx, [old], [again])
    if made.price is not None:
        await hold(tx, await _payer(tx, tenant), made, made.price)
    await settle_retried(tx, [(old, made)])
    return made


async def _payer(tx: Transaction, tenant: TenantId) -> UserId:
    """Raises UserNotFound."""
    user = await tx.user_of(tenant)
    if user is None:
        raise UserNotFound(tenant)
    return user.id


async def retry_all(
    tx: Transaction,
    jobs: list[Job],
    *,
    new_id: Callable[[], str],
    trace: str | None = None,
    choose: Choose | None = None,
) -> list[Job]:
    """A new job for each of these, in order; it goes on from where the old one was. Nobody pays for them."""
    news = [_going_on(job, JobId(new_id()), trace, choose) for job in jobs]
    return await _insert(tx, jobs, news)


async def _insert(tx: Transaction, jobs: list[Job], news: list[Job]) -> list[Job]:
    await tx.insert([NewJob(job) for job in news])
    await tx.inherit_blobs({old.id: new.id for old, new in zip(jobs, news, strict=True)})
    made = await tx.load([job.id for job in news])
    return [made[job.id] for job in news]


async def retry_with(  # noqa: PLR0913  # what it makes, how and of what, each by its name
    tx: Transaction,
    job: Job,
    *,
    given: dict[str, Any],
    gang: Gang,
    blobs: Sequence[BlobId],
    new_id: Callable[[], str],
    trace: str | None,
    choose: Choose | None = None,
) -> Job:
    """With another input, which was checked and names these blobs."""
    again = _again(job, JobId(new_id()), trace, choose)
    spec = replace(again.spec, input=given, nodes=gang.nodes, gpus=gang.gpus)
    new = replace(again, spec=spec)
    await tx.insert([NewJob(new)])
    await tx.use_blobs([BlobUse(job.tenant, blob, new.id) for blob in blobs] + weights_of(new))
    return (await tx.load([new.id]))[new.id]


def _going_on(job: Job, new: JobId, trace: str | None, choose: Choose | None) -> Job:
    """From what the old one left behind, if it did."""
    left = None if job.checkpoint is None else replace(job.checkpoint, epoch=0)
    return replace(_again(job, new, trace, choose), checkpoint=left)


def _again(job: Job, new: JobId, trace: str | None, choose: Choose | None) -> Job:
    """As it was asked for the first time, but for a deadline that was for the first start."""
    return Job(
        id=new,
        tenant=job.tenant,
        spec=replace(job.spec, start_deadline=None),
        lane=job.lane,
        artefact=job.artefact,
        path=job.path if choose is None else choose(job.tenant, job.spec.kind),
        state=State.QUEUED,
        retry_of=job.id,
        trace=trace or job.trace,
    )
