"""What a rollout keeps: the record, who applies it, how each path does, and what shadows showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from headrace.contracts.ids import JobId, TenantId
from headrace.core.job import Job, State
from headrace.core.ports.blobs import BlobRef
from headrace.core.rollout import Rollout

COMPARISONS_KEPT: Final = 10_000  # the latest


@dataclass(frozen=True, slots=True)
class Replica:
    """An api process, and which version of the rollout it applies."""

    name: str
    version: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Sample:
    """What one job says about its path. It may still wait or run: then its times have only begun."""

    kind: str
    state: State
    wait_s: float
    run_s: float | None  # None: it has not started


@dataclass(frozen=True, slots=True)
class Standing:
    """A path as it is now."""

    path: str
    attended: bool
    running: int  # counted to a thousand
    submitted: int  # of the latest thousands, within the window asked for


@dataclass(frozen=True, slots=True)
class Pair:
    """A shadow that is over, and the job it copied; None: that was deleted meanwhile."""

    shadow: Job
    original: Job | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`diff` names what differs; times are told in any case, and judged by nobody."""

    job: JobId
    shadow: JobId
    tenant: TenantId
    kind: str
    path: str  # the shadow's
    same: bool
    diff: Mapping[str, Any] = field(default_factory=dict)
    at: datetime | None = None  # set by the store


class Rollouts(Protocol):
    """The part of a transaction that a rollout needs. What it counts leaves shadows out."""

    async def rollout(self) -> Rollout | None:
        """None: nobody has stored one."""

    async def save_rollout(self, rollout: Rollout) -> bool:
        """False: the stored version is no longer the one before this one's."""

    async def see_replica(self, name: str, version: int) -> None: ...

    async def forget_replica(self, name: str) -> None: ...

    async def replicas(self, *, seen_after: datetime) -> list[Replica]:
        """By name; forgets the others."""

    async def attended(self) -> set[str]:
        """The paths that a dispatcher vouches for."""

    async def path_standings(self, *, since: datetime) -> list[Standing]:
        """Both paths."""

    async def ended(
        self, path: str, *, since: datetime, created_since: datetime | None, limit: int
    ) -> list[Sample]:
        """The latest that have ended, cancelled ones too."""

    async def unended(self, path: str, *, created_since: datetime, limit: int) -> list[Sample]:
        """Some that are queued or run."""

    async def shadows_over(self, *, limit: int) -> list[Pair]:
        """Shadows that have ended, of jobs that have too; locked, others are skipped."""

    async def give_up_shadows(self, *, waiting_since: datetime, limit: int) -> list[JobId]:
        """Ask to cancel those whose jobs are cancelled, gone, or ended before that time."""

    async def discard_shadows(self, over: Sequence[JobId]) -> list[BlobRef]:
        """Delete them; answers the blobs that nobody names any more."""

    async def note_comparisons(self, found: Sequence[Comparison]) -> None:
        """Keeps the latest `COMPARISONS_KEPT`."""

    async def comparisons(self, *, limit: int) -> list[Comparison]:
        """The latest first."""

    async def compared(self) -> tuple[int, int]:
        """Of those that are kept: how many, and how many were the same."""
