"""The part of the port's transaction that a rollout needs; what each verb does is told in the module it names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headrace.adapters.store.sql import rollouts, shadows
from headrace.adapters.store.sql.session import Session
from headrace.contracts.ids import JobId
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.rollouts import Comparison, Pair, Replica, Sample, Standing
from headrace.core.rollout import Rollout


class RolloutVerbs:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def rollout(self) -> Rollout | None:
        return await rollouts.read(self._session)

    async def save_rollout(self, rollout: Rollout) -> bool:
        return await rollouts.save(self._session, rollout)

    async def see_replica(self, name: str, version: int) -> None:
        await rollouts.see_replica(self._session, name, version)

    async def forget_replica(self, name: str) -> None:
        await rollouts.forget_replica(self._session, name)

    async def replicas(self, *, seen_after: datetime) -> list[Replica]:
        return await rollouts.replicas(self._session, seen_after)

    async def attended(self) -> set[str]:
        return await rollouts.attended(self._session)

    async def path_standings(self, *, since: datetime) -> list[Standing]:
        return await rollouts.standings(self._session, since)

    async def ended(
        self, path: str, *, since: datetime, created_since: datetime | None, limit: int
    ) -> list[Sample]:
        return await rollouts.ended(self._session, path, since, created_since, limit)

    async def unended(self, path: str, *, created_since: datetime, limit: int) -> list[Sample]:
        return await rollouts.unended(self._session, path, created_since, limit)

    async def shadows_over(self, *, limit: int) -> list[Pair]:
        return await shadows.over(self._session, limit)

    async def give_up_shadows(self, *, waiting_since: datetime, limit: int) -> list[JobId]:
        return await shadows.give_up(self._session, waiting_since, limit)

    async def discard_shadows(self, over: Sequence[JobId]) -> list[BlobRef]:
        return await shadows.discard(self._session, over)

    async def note_comparisons(self, found: Sequence[Comparison]) -> None:
        await shadows.note(self._session, found)

    async def comparisons(self, *, limit: int) -> list[Comparison]:
        return await shadows.latest(self._session, limit)

    async def compared(self) -> tuple[int, int]:
        return await shadows.compared(self._session)
