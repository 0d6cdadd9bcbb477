"""The part of the port's transaction that keeps gangs; what it does is told in the module it names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from headrace.adapters.store.sql import gangs
from headrace.adapters.store.sql.session import Session
from headrace.contracts.ids import JobId, WorkerId
from headrace.core.job import Job
from headrace.core.ports.gangs import GangMember, Gathering


class GangVerbs:
    _session: Session

    async def gathering(self, path: str) -> list[Gathering]:
        return await gangs.gathering(self._session, path)

    async def next_gangs(self, path: str, *, rest: timedelta, limit: int) -> list[Gathering]:
        return await gangs.next_gangs(self._session, path, rest, limit)

    async def join(self, member: GangMember) -> None:
        await gangs.join(self._session, member)

    async def members(self, jobs: Sequence[JobId]) -> dict[JobId, list[GangMember]]:
        return await gangs.members(self._session, jobs)

    async def appoint(self, job: Job, ranked: Sequence[WorkerId], *, until: datetime) -> None:
        await gangs.appoint(self._session, job, ranked, until)

    async def quit_gangs(self, worker: WorkerId) -> None:
        await gangs.quit_gangs(self._session, worker)

    async def disband(self, jobs: Sequence[JobId]) -> None:
        await gangs.disband(self._session, jobs)
