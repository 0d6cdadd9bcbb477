"""Find jobs for many who ask at once: who comes while a question is under way shares the next.

A thousand clients that connect again after a restart cost a handful of transactions.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from headrace.contracts.ids import JobId, TenantId
from headrace.core.errors import Unavailable
from headrace.core.job import Job
from headrace.core.ports.store import Query, Store, Transaction

MOST: Final = 500  # jobs in one question

_Asked: TypeAlias = tuple[TenantId, JobId]


@dataclass(slots=True, eq=False)
class _Question:
    asked: set[_Asked] = field(default_factory=set)
    found: dict[_Asked, Job] | None = None
    failed: Unavailable | None = None


class Lookup:
    """One question at a time. Each begins after all who share it asked, so none hears old news."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = asyncio.Lock()
        self._open = _Question()  # whom nobody has begun to answer yet

    async def find(self, tenant: TenantId, job: JobId) -> Job | None:
        """None: not this tenant's. Raises Unavailable, to all who share the question."""
        question = self._open
        question.asked.add((tenant, job))
        if len(question.asked) >= MOST:
            self._open = _Question()
        async with self._turn:
            if question.failed is not None:
                raise Unavailable(question.failed.what, question.failed.why)
            if (
                question.found is None
            ):  # the first of them, or its successor if that one was cancelled
                question.found = await self._answer(question)
        return question.found.get((tenant, job))

    async def _answer(self, question: _Question) -> dict[_Asked, Job]:
        if question is self._open:
            self._open = _Question()
        try:
            async with self._store.begin() as tx:
                return await _found(tx, question.asked)
        except Unavailable as error:
            question.failed = error
            raise


async def _found(tx: Transaction, asked: set[_Asked]) -> dict[_Asked, Job]:
    ids: defaultdict[TenantId, list[JobId]] = defaultdict(list)
    for tenant, job in asked:
        ids[tenant].append(job)
    return {
        (tenant, job.id): job
        for tenant, wanted in ids.items()
        for job in await tx.page(tenant, Query(ids=wanted, limit=len(wanted)))
    }
