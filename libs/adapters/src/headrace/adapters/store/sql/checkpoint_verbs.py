"""The part of the port's transaction that keeps checkpoints; what it does is told in the module it names."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.adapters.store.sql import checkpoints
from headrace.adapters.store.sql.session import Session
from headrace.contracts.ids import JobId
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.checkpoints import LeftBehind


class CheckpointVerbs:
    _session: Session

    async def keep_checkpoints(self, told: Sequence[LeftBehind]) -> list[BlobRef]:
        return await checkpoints.keep(self._session, told)

    async def drop_checkpoints(self, jobs: Sequence[JobId]) -> list[BlobRef]:
        return await checkpoints.drop(self._session, jobs)
