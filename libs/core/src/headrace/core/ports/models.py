"""Registered models in the store: names, versions, routes, and what became of the jobs they served."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from headrace.contracts.ids import JobId, TenantId
from headrace.core.job import State
from headrace.core.models import Model, NewVersion, Route, Version

OUTPUT: Final = "output."  # before the name of a metric that is a field of the jobs' own output


@dataclass(frozen=True, slots=True)
class Outcome:
    """One job that a version served, started and ended."""

    state: State
    wait_s: float
    run_s: float
    value: float | None  # of the metric that was asked for; None: it has none


class Models(Protocol):
    """The part of a transaction that keeps models. A model is locked after jobs and runs."""

    async def add_version(self, new: NewVersion) -> Version:
        """With the next number of its name. Whoever registers the same name meanwhile waits here."""

    async def model(self, tenant: TenantId, name: str) -> Model | None:
        """The tenant's own, else the one of that name that is shared."""

    async def lock_model(self, owner: TenantId, name: str) -> Model | None:
        """For changing; only the owner's."""

    async def models(self, tenant: TenantId, *, after: str, limit: int) -> list[Model]:
        """Those that the tenant may use, by name, behind `after`."""

    async def all_models(self, *, after: tuple[str, str], limit: int) -> list[Model]:
        """Everybody's, by owner and name, behind these two."""

    async def version(self, owner: TenantId, name: str, number: int) -> Version | None: ...

    async def version_by(self, owner: TenantId, name: str, made_by: str) -> Version | None:
        """The first that they made, also if it is retired."""

    async def versions(
        self, owner: TenantId, name: str, *, below: int | None = None, limit: int
    ) -> list[Version]:
        """Newest first, also those that are retired."""

    async def add_route(self, owner: TenantId, name: str, route: Route) -> Route:
        """It holds from now on. The model is locked, or new."""

    async def route(self, owner: TenantId, name: str, number: int) -> Route | None: ...

    async def routes(
        self, owner: TenantId, name: str, *, below: int | None = None, limit: int
    ) -> list[Route]:
        """Newest first."""

    async def retire_version(self, owner: TenantId, name: str, number: int, *, who: str) -> Version:
        """For ever, and its blob is kept for it no longer. The model is locked, and the version is there."""

    async def share_model(self, owner: TenantId, name: str, *, shared: bool) -> bool:
        """False: another model of that name is shared already."""

    async def outcomes(
        self, version: str, *, since: datetime, metric: str | None, limit: int
    ) -> list[Outcome]:
        """Of the version with this id (`models.version_id`), the latest first; shadows are left out."""

    async def note_feedback(self, job: JobId, name: str, value: float, *, most: int) -> bool:
        """What somebody thinks of its result; the latest word counts. False: it has `most` names."""
