"""Jobs that several workers run together: who gathers for one, and who its members are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from headrace.contracts.ids import ClaimId, JobId, Lane, TenantId, WorkerId
from headrace.core.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class GangMember:
    """A worker whose slot waits for the others, or, with a rank, runs its part."""

    job: JobId
    worker: WorkerId
    epoch: int  # of the job, when it joined or was appointed
    claim: ClaimId
    reply_to: str
    at: str  # HOST:PORT where the others would meet it
    until: datetime  # it counts; of one with a rank: its lease
    rank: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """A queued job for several workers."""

    job: JobId
    epoch: int
    tenant: TenantId
    lane: Lane
    trace: str | None
    until: datetime | None  # its workers gather, or gathered; None: they have not been called yet


class Gangs(Protocol):
    async def gathering(self, path: str) -> list[Gathering]:
        """Those whose workers gather now, because their rows are reserved."""

    async def next_gangs(self, path: str, *, rest: timedelta, limit: int) -> list[Gathering]:
        """Of each lane that is not paused, those that could gather, first in order first.

        Whose gathering came to nothing rests for so long.
        """

    async def join(self, member: GangMember) -> None:
        """It waits for the others, until then; whoever joins again is renewed."""

    async def members(self, jobs: Sequence[JobId]) -> dict[JobId, list[GangMember]]:
        """By rank; those without one in the order in which they joined. Jobs without any are missing."""

    async def appoint(self, job: Job, ranked: Sequence[WorkerId], *, until: datetime) -> None:
        """They run `job`, as it is granted, by this order; all others of its gang leave."""

    async def quit_gangs(self, worker: WorkerId) -> None:
        """It waits for nobody any more. What it runs is not touched."""

    async def disband(self, jobs: Sequence[JobId]) -> None:
        """It has no members any more, with a rank or without."""
