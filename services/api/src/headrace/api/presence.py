"""Who is watched here, told to the store: for jobs that are cancelled once nobody watches them.

Laws:
1. Nothing is said of a job before its first watcher came, so that one nobody watches goes on.
2. The store's word lasts `MISSED_S` longer than the job's own patience, so that a watcher who comes
   back in time finds his job, also when two tellings in a row fail. So a job ends after that much
   more at the latest; never earlier than it asked for, also when this process is killed.
3. A watcher who leaves says nothing: other processes may have others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from headrace.contracts.ids import JobId
from headrace.core.errors import Unavailable
from headrace.core.job import Job
from headrace.core.ports.store import Store

TOLD_EVERY_S: Final = 3.0
MISSED_S: Final = 9.0

log = logging.getLogger(__name__)


class Presence:
    """`run` must be running; it tells, again and again, of all who are watched."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._watchers: Counter[JobId] = Counter()
        self._patience_s: dict[JobId, float] = {}

    @asynccontextmanager
    async def watching(self, job: Job, patience_s: float) -> AsyncGenerator[None]:
        """While the body lasts; told to the store before it begins, if the store is there."""
        self._watchers[job.id] += 1
        self._patience_s[job.id] = patience_s
        try:
            await self._tell({job.id: patience_s})
            yield
        finally:
            self._watchers[job.id] -= 1
            if self._watchers[job.id] == 0:
                del self._watchers[job.id], self._patience_s[job.id]

    async def run(self) -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY_S)
            await self._tell(dict(self._patience_s))  # it may change meanwhile

    async def _tell(self, patience_s: Mapping[JobId, float]) -> None:
        if not patience_s:
            return
        try:
            async with self._store.begin() as tx:
                now = await tx.now()
                await tx.see_watched(
                    {
                        job: now + timedelta(seconds=own + MISSED_S)
                        for job, own in patience_s.items()
                    }
                )
        except Unavailable as error:  # the next turn tells it
            log.warning("presence.not_told", extra={"error": str(error), "jobs": len(patience_s)})
