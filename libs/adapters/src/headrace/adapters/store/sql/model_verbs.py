"""The part of the port's transaction that keeps models; what each verb does is told in the module it names."""

from __future__ import annotations

from datetime import datetime

from headrace.adapters.store.sql import model_outcomes, models
from headrace.adapters.store.sql.session import Session
from headrace.contracts.ids import JobId, TenantId
from headrace.core.models import Model, NewVersion, Route, Version
from headrace.core.ports.models import Outcome


class ModelVerbs:
    _session: Session

    async def add_version(self, new: NewVersion) -> Version:
        return await models.add_version(self._session, new)

    async def model(self, tenant: TenantId, name: str) -> Model | None:
        return await models.find(self._session, tenant, name)

    async def lock_model(self, owner: TenantId, name: str) -> Model | None:
        return await models.lock(self._session, owner, name)

    async def models(self, tenant: TenantId, *, after: str, limit: int) -> list[Model]:
        return await models.usable(self._session, tenant, after, limit)

    async def all_models(self, *, after: tuple[str, str], limit: int) -> list[Model]:
        return await models.everybodys(self._session, after, limit)

    async def version(self, owner: TenantId, name: str, number: int) -> Version | None:
        return await models.find_version(self._session, owner, name, number)

    async def version_by(self, owner: TenantId, name: str, made_by: str) -> Version | None:
        return await models.find_made(self._session, owner, name, made_by)

    async def versions(
        self, owner: TenantId, name: str, *, below: int | None = None, limit: int
    ) -> list[Version]:
        return await models.versions(self._session, owner, name, below, limit)

    async def add_route(self, owner: TenantId, name: str, route: Route) -> Route:
        return await models.add_route(self._session, owner, name, route)

    async def route(self, owner: TenantId, name: str, number: int) -> Route | None:
        return await models.find_route(self._session, owner, name, number)

    async def routes(
        self, owner: TenantId, name: str, *, below: int | None = None, limit: int
    ) -> list[Route]:
        return await models.routes(self._session, owner, name, below, limit)

    async def retire_version(self, owner: TenantId, name: str, number: int, *, who: str) -> Version:
        return await models.retire(self._session, owner, name, number, who)

    async def share_model(self, owner: TenantId, name: str, *, shared: bool) -> bool:
        return await models.share(self._session, owner, name, shared=shared)

    async def outcomes(
        self, version: str, *, since: datetime, metric: str | None, limit: int
    ) -> list[Outcome]:
        return await model_outcomes.outcomes(self._session, version, since, metric, limit)

    async def note_feedback(self, job: JobId, name: str, value: float, *, most: int) -> bool:
        return await model_outcomes.note_feedback(self._session, job, name, value, most)
