"""The part of the port's transaction that keeps batches; what each verb does is told in the module it names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headrace.adapters.store.sql import batch_items, batches
from headrace.adapters.store.sql.session import Session
from headrace.contracts.ids import BatchId, JobId, TenantId
from headrace.core.batch import Batch, Ended, ItemEnd, NewItem, Pace
from headrace.core.ports.batches import Look, PurgedBatches


class BatchVerbs:
    _session: Session

    async def insert_batch(self, batch: Batch) -> Batch:
        return await batches.insert_batch(self._session, batch)

    async def look_at_batch(self, tenant: TenantId, batch: BatchId) -> Look | None:
        return await batches.look(self._session, tenant, batch)

    async def lock_batches(self, wanted: Sequence[BatchId]) -> list[Batch]:
        return await batches.lock(self._session, wanted)

    async def page_batches(
        self, tenant: TenantId | None, *, before: tuple[datetime, BatchId] | None, limit: int
    ) -> list[Look]:
        return await batches.page(self._session, tenant, before, limit)

    async def open_batches(self, tenant: TenantId) -> int:
        return await batches.count_open(self._session, tenant)

    async def pace_of_batch(self, batch: BatchId) -> Pace | None:
        return await batch_items.pace(self._session, batch)

    async def ask_cancel_batch(self, tenant: TenantId, batch: BatchId) -> None:
        await batches.ask_cancel(self._session, tenant, batch)

    async def take_batch(self, path: str, *, until: datetime) -> Batch | None:
        return await batches.take(self._session, path, until)

    async def begin_items(self, before: Batch, after: Batch, items: Sequence[NewItem]) -> bool:
        return await batch_items.begin(self._session, before, after, items)

    async def end_items(self, ends: Sequence[ItemEnd]) -> None:
        self._session.ends += ends

    async def ended_items(
        self, batch: BatchId, *, after: int, limit: int, wrong: bool = False
    ) -> list[Ended]:
        return await batch_items.ended(self._session, batch, after=after, limit=limit, wrong=wrong)

    async def items_to_stop(self, path: str, *, limit: int) -> list[JobId]:
        return await batch_items.to_stop(self._session, path, limit)

    async def purge_batches(
        self, *, finished_before: datetime, limit: int, tenant: TenantId | None = None
    ) -> PurgedBatches:
        return await batches.purge(self._session, finished_before, limit, tenant)
