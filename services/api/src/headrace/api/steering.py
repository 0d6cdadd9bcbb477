"""Which path each new job takes: the rollout in force in this process, and its word that it is.

Laws:
1. Whoever asks is answered at once, from what was read last. It is read again every `EVERY_S`, so a
   change holds here that much after its commit, and one reading, at the latest.
2. While the store is away, what was known last holds. Nothing is accepted then either.
3. The store is told a version only when that is already what is applied.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import suppress
from typing import Final

from headrace.contracts.ids import TenantId
from headrace.core.errors import HeadraceError
from headrace.core.job import Job
from headrace.core.ports.store import Store
from headrace.core.rollout import Basis, other

EVERY_S: Final = 0.25
READ_WITHIN_S: Final = 2.0
TOLD_EVERY_S: Final = 2.0  # also when nothing changes, so that one that has gone is missed

log = logging.getLogger(__name__)


class Steering:
    """`run` must be running. `lacks`: what this installation lacks for the new path, in words."""

    def __init__(self, store: Store, basis: Basis, *, lacks: str | None = None) -> None:
        self._store, self.basis, self.lacks = store, basis, lacks
        self.now = basis.of(None)
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self._attended: frozenset[str] = frozenset()
        self._told: tuple[int, float] = (-1, 0.0)  # the version, and when
        self._away = False

    def path(self, tenant: TenantId, kind: str) -> str:
        return self.now.path(tenant, kind)

    def shadowed(self, job: Job) -> bool:
        """Nothing runs where nobody would take it."""
        return self.now.shadows(job.id) and other(job.path) in self._attended

    async def refresh(self) -> None:
        """Never raises for the store: what was known holds."""
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                await self._read()
        except (HeadraceError, TimeoutError) as error:
            if not self._away:
                log.warning("rollout.unread", extra={"error": str(error) or "no answer in time"})
            self._away = True
        except Exception:  # a record that this build cannot read must not stop an api
            if not self._away:
                log.exception("rollout.unread")
            self._away = True
        else:
            if self._away:
                log.info("rollout.read_again", extra={"version": self.now.version})
            self._away = False

    async def run(self) -> None:
        """Until it is cancelled; then it takes its name back."""
        try:
            while True:
                await self.refresh()
                await asyncio.sleep(EVERY_S)
        finally:
            with suppress(HeadraceError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(READ_WITHIN_S):
                    await self._leave()

    async def _read(self) -> None:
        async with self._store.begin() as tx:
            found = self.basis.of(await tx.rollout())
            self._attended = frozenset(await tx.attended())
            if found != self.now:
                self.now = found
                self._say()
            version, at = self._told
            now = asyncio.get_running_loop().time()
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
