"""Read, in one transaction, what explains why a job waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from headrace.contracts.ids import JobId, Lane, TenantId
from headrace.contracts.remote import is_remote
from headrace.core.errors import JobNotFound
from headrace.core.explain import Facts
from headrace.core.job import State
from headrace.core.ports.store import Store

HEARD_WITHIN: Final = timedelta(seconds=30)
REMOTE_HEARD_WITHIN: Final = timedelta(minutes=5)  # one that works by HTTP says nothing meanwhile


def heard_within(lane: Lane) -> timedelta:
    """For how long a worker of this lane counts as there after it was heard of."""
    return REMOTE_HEARD_WITHIN if is_remote(lane) else HEARD_WITHIN


async def facts_about(store: Store, tenant: TenantId, job: JobId) -> Facts:
    """Raises JobNotFound."""
    async with store.begin() as tx:
        found = await tx.find(tenant, job)
        if found is None:
            raise JobNotFound(job)
        now = await tx.now()
        return Facts(
            job=found,
            now=now,
            paused=await tx.paused(),
            troubles=await tx.troubles(),
            workers=await tx.workers(seen_after=now - heard_within(found.lane)),
            terms=await tx.terms(tenant),
            crowd=await tx.crowd(found),
            ahead=await tx.ahead(found) if found.state is State.QUEUED else 0,
        )
