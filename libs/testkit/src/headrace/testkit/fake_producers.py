"""Producers outside as a test says they are, without a Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from headrace.contracts.ids import JobId
from headrace.core.errors import Unavailable
from headrace.core.ports.producers import Producers, Seen


@dataclass
class FakeProducers(Producers):
    """`closes` False: somebody came at that very moment."""

    seen: dict[JobId, Seen] = field(default_factory=dict)
    away: bool = False
    closes: bool = True
    closed: list[JobId] = field(default_factory=list)
    stopped: list[JobId] = field(default_factory=list)
    forgotten: list[JobId] = field(default_factory=list)

    @override
    async def look(self, jobs: Sequence[JobId]) -> Mapping[JobId, Seen]:
        if self.away:
            raise Unavailable("Redis", "a test says so")
        return {job: self.seen[job] for job in jobs if job in self.seen}

    @override
    async def stop(self, jobs: Sequence[JobId]) -> None:
        self.stopped += jobs

    @override
    async def close(self, job: JobId, epoch: int, *, if_silent: bool = False) -> bool:
        if self.closes:
            self.closed.append(job)
        return self.closes

    @override
    async def forget(self, jobs: Sequence[JobId]) -> None:
        if self.away:
            raise Unavailable("Redis", "a test says so")
        self.forgotten += jobs
