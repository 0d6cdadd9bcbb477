"""What operators look at and change: jobs of all tenants, the load of lanes and paths, the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from headrace.contracts.ids import JobId, Lane, WorkerId
from headrace.contracts.messages import Vitals
from headrace.core.job import Job, State
from headrace.core.ports.queries import Found, Search

LOOKED_AT: Final = 20_000  # jobs that one search looks at; it says where it stopped
COUNTED: Final = 100_000  # waiting jobs of one lane and path; as many means: that or more
RECENT: Final = 30_000  # jobs that the figures of one window are made of, the latest ones


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneLoad:
    """What waits and runs in a lane, on one path, shadows too: they take their places."""

    lane: Lane
    path: str
    waiting: int = 0  # at most COUNTED; not those planned for later
    offered: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True)
class Loads:
    lanes: Sequence[LaneLoad]
    oldest: Mapping[Lane, datetime]  # since when the one that waits longest could have run
    letters: int  # open dead letters, at most COUNTED
    attended: Mapping[str, bool]  # by path


@dataclass(frozen=True, slots=True)
class Percentiles:
    p50_s: float | None = None
    p95_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How many jobs of one path ended so in one bucket of time."""

    bucket: int
    path: str
    state: State
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """What came and went since a time. `since` is later than asked for where there was too much."""

    since: datetime
    accepted: Mapping[int, int]  # by bucket
    ended: Sequence[Ended]
    wait: Percentiles  # from when a job could have run to its first start
    run: Percentiles  # from its first start to its end
    wait_on: Mapping[str, Percentiles] = field(default_factory=dict)  # by path
    run_on: Mapping[str, Percentiles] = field(default_factory=dict)
    wait_in: Mapping[int, Percentiles] = field(default_factory=dict)  # by bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A worker of the fleet, also one that fell silent."""

    id: WorkerId
    path: str | None
    slots: Mapping[Lane, int]
    seen_at: datetime
    drain_asked_at: datetime | None
    vitals: Vitals | None  # None: its build does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A job that a worker holds."""

    job: JobId
    worker: WorkerId | None
    kind: str
    lane: Lane
    path: str
    attempt: int
    started_at: datetime | None  # this attempt
    progress: float | None


class Operations(Protocol):
    """The part of a transaction that serves operators. Nothing here costs more as history grows.

    Shadows are not among the jobs that are found, changed or counted as having come and gone.
    """

    async def anybodys(self, job: JobId) -> Job | None: ...

    async def search(self, wanted: Search) -> Found:
        """Newest first. Looks at LOOKED_AT jobs at most, and says where it stopped.

        With `error`, only jobs that failed or died are looked at.
        """

    async def wish_all(self, jobs: Sequence[JobId]) -> list[JobId]:
        """Record the wish to cancel these; answers those for which it is new and can be granted."""

    async def reprioritise(self, job: JobId, priority: int) -> None:
        """Its place among its tenant's is another from now on, also when it comes back."""

    async def place(self, job: JobId, where: Literal["front", "back"]) -> bool:
        """Before or behind all of its tenant's that wait in its lane now; False: it is offered."""

    async def loads(self, lanes: Sequence[Lane]) -> Loads:
        """Of these lanes, and of every other in which something waits or runs."""

    async def recent(self, *, since: datetime, bucket: timedelta) -> Recent: ...

    async def fleet(self, *, limit: int) -> list[Member]:
        """Every worker that is remembered, by name."""

    async def held(self, *, limit: int) -> list[Held]:
        """What workers hold now."""

    async def ask_drain(self, worker: WorkerId, *, drain: bool) -> bool:
        """False: no such worker. Asking twice changes nothing."""
