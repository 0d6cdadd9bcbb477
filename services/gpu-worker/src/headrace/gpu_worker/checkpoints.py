"""Keeping what an engine leaves behind: stored as a blob, told by a heartbeat, one at a time.

Laws:
1. The engine never waits: while one is on its way, the latest of those that follow waits in one place,
   and what it replaces there is forgotten.
2. The next is stored when the dispatcher has answered for the last, and no more often than once in
   `checkpoint_s`: so what is stored is named by somebody, who lets it go when it is old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from headrace.core.errors import TooLarge, Unavailable
from headrace.core.ports.blobs import Blob
from headrace.gpu_worker.attempts import Attempt, Kept
from headrace.gpu_worker.host import wire
from headrace.gpu_worker.options import WorkerOptions
from headrace.gpu_worker.waiting import pauses, rings
from headrace.telemetry.logs import get_logger

_MEDIA_TYPE: Final = "application/octet-stream"
_log = get_logger("gpu_worker.checkpoints")


class Checkpoints:
    """Those of one attempt. `tell` asks for a heartbeat soon."""

    def __init__(self, attempt: Attempt, options: WorkerOptions, tell: Callable[[], None]) -> None:
        self._attempt = attempt
        self._options = options
        self._tell = tell
        self._latest: wire.Checkpointed | None = None  # that is not stored yet
        self._news = asyncio.Event()
        self._storing = asyncio.Lock()

    def take(self, checkpoint: wire.Checkpointed) -> None:
        self._latest = checkpoint
        self._news.set()

    async def keep(self) -> None:
        """Runs until it is cancelled."""
        limits = self._options.limits
        while True:
            await self._news.wait()
            self._news.clear()
            await self._store()
            await asyncio.sleep(limits.checkpoint_s)
            # Where nobody answers for as long as that, the attempt itself is not trusted any more.
            await rings(self._attempt.answered, limits.lease_s)

    async def finish(self, *, wanted: bool) -> None:
        """Store what still waits, if it is `wanted`, for the attempt's result to tell of it."""
        if not wanted:
            self._latest = None
        limit_s = self._options.limits.blobs_s
        try:
            async with asyncio.timeout(limit_s):
                await self._store()
        except TimeoutError:
            _log.warning("checkpoint.given_up", within_s=limit_s)

    async def _store(self) -> None:
        cap_s = self._options.limits.retry_cap_s
        waits = pauses(self._options.random, first_s=0.2, cap_s=cap_s)
        async with self._storing:
            for wait_s in waits:
                latest = self._latest
                if latest is None or await self._stored(latest):
                    return
                await asyncio.sleep(wait_s)

    async def _stored(self, checkpoint: wire.Checkpointed) -> bool:
        """Whether that is settled; until it is, a newer one may take its place."""
        tenant = self._attempt.grant.tenant
        try:
            blob = await self._options.blobs.put(tenant, Blob(_MEDIA_TYPE, checkpoint.data))
        except Unavailable as error:
            _log.warning("checkpoint.not_stored", error=str(error))
            return False
        except TooLarge as error:
            _log.warning("checkpoint.too_large", step=checkpoint.step, error=str(error))
        else:
            self._attempt.keep(Kept(blob, checkpoint.step))
            self._tell()
        if self._latest is checkpoint:
            self._latest = None
        return True
