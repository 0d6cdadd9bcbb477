"""Which path each new job takes: the rollout in force in this process, and its word that it is.

Laws:
1. A new job goes by a reading that began at most `FRESH_S` before it was asked for. It is read every
   `EVERY_S`, so `current` answers at once; a process that was starved of time, or whose store is
   slow, reads first. So a change holds within a second of its commit, however busy the machine is.
2. Where there is no such reading, the job is refused: the store is unavailable.
3. The store is told a version only when that is already what is applied; by a busy process, later.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final

from headrace.core.errors import HeadraceError, Unavailable
from headrace.core.job import Job
from headrace.core.ports.store import Store
from headrace.core.rollout import Basis, Rollout, other

EVERY_S: Final = 0.25
FRESH_S: Final = 0.75
READ_WITHIN_S: Final = 5.0  # as long as anybody may wait for a connection
LEAVE_WITHIN_S: Final = 2.0
TOLD_EVERY_S: Final = 2.0  # also when nothing changes, so that one that has gone is missed

log = logging.getLogger(__name__)


class Steering:
    """`run` must be running. `lacks`: what this installation lacks for the new path, in words."""

    def __init__(
        self,
        store: Store,
        basis: Basis,
        *,
        lacks: str | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._clock = clock
        self._store, self.basis, self.lacks = store, basis, lacks
        self.now = basis.of(None)
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self._attended: frozenset[str] = frozenset()
        self._told: tuple[int, float] = (-1, 0.0)  # the version, and when
        self._away = False
        self._began = -math.inf  # the last reading that was answered
        self._tried = -math.inf  # the last reading
        self._reading = asyncio.Lock()

    async def current(self) -> Rollout:
        """What a job that is asked for now goes by. Raises Unavailable."""
        oldest = self._clock() - FRESH_S
        if self._began < oldest:
            await self.refresh(unless_since=oldest)
            if self._began < oldest:
                raise Unavailable("the store", "it does not say which path new jobs take")
        return self.now

    def shadowed(self, job: Job) -> bool:
        """Nothing runs where nobody would take it."""
        return self.now.shadows(job.id) and other(job.path) in self._attended

    async def refresh(self, *, unless_since: float = math.inf) -> None:
        """Never raises for the store: what was known stays."""
        async with self._reading:  # else an older answer could come after a newer one
            if self._tried >= unless_since:
                return  # nor does everybody try by themselves a store that is silent
            began = self._clock()
            if await self._answered():
                self._began = began
            self._tried = began

    async def _answered(self) -> bool:
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                await self._read()
        except (HeadraceError, TimeoutError) as error:
            if not self._away:
                log.warning("rollout.unread", extra={"error": str(error) or "no answer in time"})
            self._away = True
            return False
        except Exception:  # a record that this build cannot read must not stop an api
            if not self._away:
                log.exception("rollout.unread")
            self._away = True
            return True  # and what was known holds
        if self._away:
            log.info("rollout.read_again", extra={"version": self.now.version})
        self._away = False
        return True

    async def run(self) -> None:
        """Until it is cancelled; then it takes its name back."""
        try:
            while True:
                await self.refresh()
                await asyncio.sleep(EVERY_S)
        finally:
            with suppress(HeadraceError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(LEAVE_WITHIN_S):
                    await self._leave()

    async def _read(self) -> None:
        async with self._store.begin() as tx:
            found = self.basis.of(await tx.rollout())
            self._attended = frozenset(await tx.attended())
            if found != self.now:
                self.now = found
                self._say()
            version, at = self._told
            now = self._clock()
            if version != found.version or now - at > TOLD_EVERY_S:
                await tx.see_replica(self.name, found.version)
                self._told = found.version, now

    def _say(self) -> None:
        now = self.now
        log.info(
            "rollout.applied",
            extra={"version": now.version, "stage": now.stage, "percent": now.percent},
        )

    async def _leave(self) -> None:
        async with self._store.begin() as tx:
            await tx.forget_replica(self.name)
