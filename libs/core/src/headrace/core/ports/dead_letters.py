"""Dead letters: what nobody could handle, parked for a person; and a record of what was done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from headrace.contracts.ids import JobId, TenantId
from headrace.contracts.messages import MAX_MESSAGE_BYTES

LONGEST_REASON: Final = 500  # it is part of a unique key


class Source(StrEnum):
    MESSAGE = "message"  # what a queue could not get rid of otherwise
    JOB = "job"  # one that used up its attempts


class Settled(StrEnum):
    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    source: Source
    message: str  # the broker's id of the message, or the job's
    reason: str
    fingerprint: str  # the same for what died of the same cause
    title: str  # that cause, as people read it
    path: str  # whose dispatchers replay it
    queue: str  # where the message was, or the job's lane
    tenant: TenantId | None = None
    job: JobId | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""  # bounded: of a larger message, its beginning
    size: int = 0

    @property
    def whole(self) -> bool:
        return self.size <= MAX_MESSAGE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A dead letter and what became of it."""

    number: int
    letter: DeadLetter
    parked_at: datetime
    replay_at: datetime | None = None  # somebody asked for it
    settled_at: datetime | None = None
    settled: Settled | None = None
    settled_by: str | None = None
    retried_as: JobId | None = None


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Letters that died of the same cause, and are not settled."""

    fingerprint: str
    source: Source
    title: str
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterQuery:
    """Which dead letters; None does not filter. Newest first."""

    fingerprint: str | None = None
    source: Source | None = None
    queue: str | None = None
    tenant: TenantId | None = None
    settled: bool = False
    unplanned: bool = False  # only those that nobody has asked to replay
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Settlement:
    number: int
    how: Settled
    who: str
    retried_as: JobId | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """Something a person did: who, what, to what."""

    who: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    number: int
    at: datetime
    deed: Deed


class DeadLetters(Protocol):
    """The part of a transaction that keeps dead letters."""

    async def bury(self, letters: Sequence[DeadLetter]) -> int:
        """Keep them, once by (message, reason); answers how many are new."""

    async def letter_groups(self, *, limit: int) -> list[LetterGroup]:
        """The latest first."""

    async def letters(self, query: LetterQuery) -> list[Parked]:
        """Without their bodies, which many of them would make too much."""

    async def letters_of(self, jobs: Sequence[JobId]) -> list[Parked]:
        """What is open of these jobs, for changing; but for what somebody else is at."""

    async def letter(self, number: int) -> Parked | None:
        """For changing."""

    async def plan_replays(self, times: Mapping[int, datetime], *, who: str) -> list[int]:
        """Replay these then; answers those that are neither settled nor planned already."""

    async def last_replay(self) -> datetime | None:
        """The latest time that a replay is planned for."""

    async def due_replays(self, path: str, *, limit: int) -> list[Parked]: ...

    async def postpone_replays(self, numbers: Sequence[int], *, until: datetime) -> None:
        """Nobody else takes them up to then."""

    async def settle_letters(self, settlements: Sequence[Settlement]) -> list[int]:
        """Once each; answers those that were settled now."""

    async def audit(self, deeds: Sequence[Deed]) -> None: ...

    async def audited(self, *, before: int | None, limit: int) -> list[AuditRecord]:
        """Newest first."""
