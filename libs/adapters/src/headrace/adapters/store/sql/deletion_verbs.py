"""The part of the port's transaction that removes; what each verb does is told in the module it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from headrace.adapters.store.sql import deletions, erasing
from headrace.adapters.store.sql.session import Session
from headrace.contracts.ids import BatchId, BlobId, DeletionId, JobId, RunId, TenantId
from headrace.core.ports.deletions import Deletion, Kind, Remnant


class DeletionVerbs:
    _session: Session

    async def insert_deletion(self, deletion: Deletion) -> Deletion:
        return await deletions.insert_deletion(self._session, deletion)

    async def lock_deletion(self, deletion: DeletionId) -> Deletion | None:
        return await deletions.lock_deletion(self._session, deletion)

    async def deletion(
        self, tenant: TenantId | None, deletion: DeletionId
    ) -> tuple[Deletion, int] | None:
        return await deletions.find(self._session, tenant, deletion)

    async def deletion_of(self, tenant: TenantId, subject: str) -> Deletion | None:
        return await deletions.deletion_of(self._session, tenant, subject)

    async def open_deletions(self, tenant: TenantId, *, at_most: int) -> int:
        return await deletions.open_deletions(self._session, tenant, at_most)

    async def due_deletions(self, *, limit: int) -> list[Deletion]:
        return await deletions.due_deletions(self._session, limit)

    async def save_deletion(self, deletion: Deletion) -> None:
        await deletions.save_deletion(self._session, deletion)

    async def erase(
        self, deletion: DeletionId, *, jobs: Sequence[JobId] = (), runs: Sequence[RunId] = ()
    ) -> Mapping[str, int]:
        return await erasing.erase(self._session, deletion, jobs, runs)

    async def erase_batch(
        self, deletion: DeletionId, batch: BatchId, *, limit: int
    ) -> tuple[Mapping[str, int], bool]:
        return await erasing.erase_batch(self._session, deletion, batch, limit)

    async def erase_around(
        self, deletion: DeletionId, tenant: TenantId, *, before: datetime, limit: int
    ) -> Mapping[str, int]:
        return await erasing.erase_around(self._session, deletion, tenant, before, limit)

    async def add_remnants(self, deletion: DeletionId, remnants: Sequence[Remnant]) -> None:
        await deletions.add_remnants(self._session, deletion, remnants)

    async def remnants(
        self, deletion: DeletionId, kinds: Sequence[Kind], *, limit: int
    ) -> list[Remnant]:
        return await deletions.remnants(self._session, deletion, kinds, limit)

    async def drop_remnants(
        self, deletion: DeletionId, remnants: Sequence[Remnant]
    ) -> list[Remnant]:
        return await deletions.drop_remnants(self._session, deletion, remnants)

    async def note_late(self, named: Mapping[JobId, Sequence[BlobId]]) -> None:
        await deletions.note_late(self._session, named)

    async def purge_deletions(self, *, finished_before: datetime, limit: int) -> int:
        return await deletions.purge_deletions(self._session, finished_before, limit)
