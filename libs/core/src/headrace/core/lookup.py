"""Find jobs for many who ask at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set
from typing import TypeAlias

from headrace.contracts.ids import JobId, TenantId
from headrace.core.job import Job
from headrace.core.ports.store import Query, Store, Transaction
from headrace.core.together import Together

_Asked: TypeAlias = tuple[TenantId, JobId]


class Lookup:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._questions = Together(self._answer)

    async def find(self, tenant: TenantId, job: JobId) -> Job | None:
        """None: not this tenant's. Raises Unavailable, to all who share the question."""
        return await self._questions.ask((tenant, job))

    async def _answer(self, asked: Set[_Asked]) -> dict[_Asked, Job]:
        async with self._store.begin() as tx:
            return await _found(tx, asked)


async def _found(tx: Transaction, asked: Set[_Asked]) -> dict[_Asked, Job]:
    ids: defaultdict[TenantId, list[JobId]] = defaultdict(list)
    for tenant, job in asked:
        ids[tenant].append(job)
    return {
        (tenant, job.id): job
        for tenant, wanted in ids.items()
        for job in await tx.page(tenant, Query(ids=wanted, limit=len(wanted)))
    }
