"""Read, in one transaction, what explains why a job waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from headrace.contracts.ids import JobId, TenantId
from headrace.core.errors import JobNotFound
from headrace.core.explain import Facts
from headrace.core.job import State
from headrace.core.ports.store import Store

HEARD_WITHIN: Final = timedelta(seconds=30)


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
            workers=await tx.workers(seen_after=now - HEARD_WITHIN),
            terms=await tx.terms(tenant),
            crowd=await tx.crowd(found),
            ahead=await tx.ahead(found) if found.state is State.QUEUED else 0,
        )
