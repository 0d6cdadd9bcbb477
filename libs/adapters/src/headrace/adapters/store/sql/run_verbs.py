"""The part of the port's transaction that keeps runs; what each verb does is told in `runs`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headrace.adapters.store.sql import runs
from headrace.adapters.store.sql.session import Session
from headrace.contracts.ids import JobId, RunId, TenantId
from headrace.core.ports.runs import PurgedRuns
from headrace.core.run import Piece, Run


class RunVerbs:
    _session: Session

    async def insert_run(self, run: Run) -> Run:
        return await runs.insert_run(self._session, run)

    async def find_run(self, tenant: TenantId, run: RunId) -> Run | None:
        return await runs.find(self._session, tenant, run)

    async def lock_runs(self, wanted: Sequence[RunId]) -> list[Run]:
        return await runs.lock(self._session, wanted)

    async def page_runs(
        self, tenant: TenantId, *, before: tuple[datetime, RunId] | None, limit: int
    ) -> list[Run]:
        return await runs.page(self._session, tenant, before, limit)

    async def save_run(self, run: Run) -> None:
        await runs.save(self._session, run)

    async def pieces(self, run: RunId) -> list[Piece]:
        return await runs.pieces(self._session, run)

    async def begin_pieces(self, run: RunId, pieces: Sequence[Piece]) -> list[bool]:
        return await runs.begin_pieces(self._session, run, pieces)

    async def save_pieces(self, run: RunId, pieces: Sequence[Piece]) -> None:
        await runs.save_pieces(self._session, run, pieces)

    async def overdue_runs(self, path: str, *, limit: int) -> list[Run]:
        return await runs.overdue(self._session, path, limit)

    async def jobs_to_stop(self, path: str, *, limit: int) -> list[JobId]:
        return await runs.jobs_to_stop(self._session, path, limit)

    async def purge_runs(
        self, *, finished_before: datetime, limit: int, tenant: TenantId | None = None
    ) -> PurgedRuns:
        return await runs.purge_runs(self._session, finished_before, limit, tenant)
