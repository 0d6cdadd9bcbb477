"""The producers loop's turn: follow what producers outside have begun and ended."""

from __future__ import annotations

from math import inf
from typing import Any

import msgspec

from headrace.contracts.ids import JobId
from headrace.contracts.messages import MAX_INLINE_BYTES, OUTPUT_BLOB
from headrace.core.errors import Unavailable
from headrace.core.job import Job
from headrace.core.ports.blobs import Blob
from headrace.core.ports.producers import Producers
from headrace.core.usecases.attend_producers import attend_producers
from headrace.dispatcher.announcer import announce
from headrace.dispatcher.attendance import Attendance
from headrace.dispatcher.counting import count_ended
from headrace.dispatcher.options import DispatcherOptions, Ports
from headrace.dispatcher.telling import tell_produced


class ProducersDesk:
    """Nobody is lost for `heard_within` after it began, or an outage of Redis ended: they could not be heard."""

    def __init__(
        self,
        ports: Ports,
        producers: Producers,
        options: DispatcherOptions,
        attendance: Attendance,
    ) -> None:
        self._store, self._streams, self._blobs = ports.store, ports.streams, ports.blobs
        self._producers, self._options, self._attendance = producers, options, attendance
        self._after: dict[str, JobId] = {}  # of each path, where the last turn ended
        self._judge_from = inf
        self._away = True  # before it began it heard nobody

    async def turn(self) -> bool:
        """True: something moved, or there are more."""
        more = [await self._turn_on(path) for path in self._attendance.paths]
        return any(more)

    async def _turn_on(self, path: str) -> bool:
        batch = self._options.batch
        async with self._store.begin() as tx:
            jobs = await tx.outside(path, after=self._after.get(path, JobId("")), limit=batch)
        full = len(jobs) == batch
        self._after[path] = jobs[-1].id if full else JobId("")
        if not jobs:
            return False
        return await self._attend(jobs) or full

    async def _attend(self, jobs: list[Job]) -> bool:
        now = self._options.monotonic()
        try:
            attended = await attend_producers(
                self._store,
                self._producers,
                jobs,
                keep=self._keep,
                judge_silence=not self._away and now >= self._judge_from,
            )
        except Unavailable:
            self._away = True
            raise
        if self._away:
            self._away = False
            self._judge_from = now + self._options.producers_heard_within.total_seconds()
        await announce(self._streams, attended.announcements)
        count_ended([change.after for change in attended.changes])
        tell_produced(attended.changes)
        return bool(attended.changes)

    async def _keep(self, job: Job, output: dict[str, Any]) -> dict[str, Any]:
        """As a worker does: what is too large for a row is a blob."""
        encoded = msgspec.json.encode(output)
        if len(encoded) <= MAX_INLINE_BYTES:
            return output
        return {OUTPUT_BLOB: await self._blobs.put(job.tenant, Blob("application/json", encoded))}
