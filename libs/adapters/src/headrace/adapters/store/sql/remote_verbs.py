"""The part of the port's transaction that remote workers need; what each verb does is told in the module it names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from headrace.adapters.store.sql import keys, remotes, wanting
from headrace.adapters.store.sql.session import Session
from headrace.contracts.ids import ClaimId, TenantId, WorkerId
from headrace.core.fair_share import Share
from headrace.core.ports.remotes import Candidate, Class, RemoteWorker, TakeRecord


class RemoteVerbs:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def classes(self, path: str) -> list[Class]:
        return await wanting.classes(self._session, path)

    async def wanting(self, path: str, *, start: TenantId | None, limit: int) -> list[Share]:
        return await wanting.wanting(self._session, path, start, limit)

    async def fitting(
        self, path: str, tenants: Sequence[TenantId], classes: Sequence[str], *, each: int
    ) -> dict[TenantId, list[Candidate]]:
        return await wanting.fitting(self._session, path, tenants, classes, each)

    async def secret(self, name: str) -> str:
        return await keys.secret(self._session, name)

    async def note_take(self, take: TakeRecord) -> None:
        await remotes.note_take(self._session, take)

    async def take(self, claim: ClaimId) -> TakeRecord | None:
        return await remotes.take(self._session, claim)

    async def settle_take(self, claim: ClaimId) -> bool:
        return await remotes.settle_take(self._session, claim)

    async def purge_takes(self, *, granted_before: datetime, limit: int) -> int:
        return await remotes.purge_takes(self._session, granted_before, limit)

    async def enlist(self, workers: Sequence[RemoteWorker]) -> dict[str, RemoteWorker]:
        return await remotes.enlist(self._session, workers)

    async def remote_worker(self, worker: WorkerId) -> RemoteWorker | None:
        return await remotes.remote_worker(self._session, worker)

    async def remote_worker_named(self, name: str) -> RemoteWorker | None:
        return await remotes.remote_worker_named(self._session, name)

    async def remote_workers_named(self, names: Collection[str]) -> dict[str, RemoteWorker]:
        return await remotes.remote_workers_named(self._session, names)

    async def remote_workers(
        self, *, tenant: TenantId | None = None, kind: str | None = None, limit: int
    ) -> list[RemoteWorker]:
        return await remotes.remote_workers(self._session, tenant, kind, limit)

    async def change_remote_worker(self, worker: RemoteWorker) -> bool:
        return await remotes.change_remote_worker(self._session, worker)

    async def credit_remote_worker(
        self,
        worker: WorkerId,
        *,
        fulfilled: int = 0,
        faulted: int = 0,
        earned: float = 0.0,
        speed: float | None = None,
    ) -> None:
        await remotes.credit_remote_worker(self._session, worker, fulfilled, faulted, earned, speed)

    async def delete_remote_worker(self, worker: WorkerId) -> None:
        await remotes.delete_remote_worker(self._session, worker)
