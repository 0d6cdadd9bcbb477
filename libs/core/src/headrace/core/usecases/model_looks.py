"""Looks at models: what a tenant can have run here, and how the versions of one do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from headrace.contracts.ids import TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.errors import VersionNotFound
from headrace.core.model_performance import Performance, performance
from headrace.core.models import MOST_ROUTED, Model, version_id
from headrace.core.ports.store import Transaction

MOST_LISTED: Final = 200  # registered models among what can be run
MOST_LOOKED_AT: Final = 5000  # jobs of each version, the latest ones


@dataclass(frozen=True, slots=True)
class Runnable:
    """A model, and the engine that would run it."""

    card: EngineCard
    model: str
    registered: bool = False


async def what_can_be_run(tx: Transaction, tenant: TenantId) -> list[Runnable]:
    """Models of the engines themselves, then the registered ones whose newest version an engine serves."""
    catalog = await tx.catalog()
    own = [Runnable(card, model) for card in catalog for model in card.models]
    serving = [card for card in catalog if card.formats]
    if not serving:
        return own
    registered = await tx.models(tenant, after="", limit=MOST_LISTED)
    names = {(each.card.kind, each.model) for each in own}
    return own + [
        Runnable(card, model.name, registered=True)
        for model in registered
        for card in serving
        if model.format in card.formats and (card.kind, model.name) not in names
    ]


@dataclass(frozen=True, slots=True)
class Look:
    found: list[Performance]
    since: datetime


async def look(
    tx: Transaction,
    model: Model,
    versions: Sequence[int],
    *,
    within: timedelta,
    metric: str | None,
) -> Look:
    """By number. No version named: those of its route, and the newest others. Raises VersionNotFound."""
    since = await tx.now() - within
    wanted = sorted(set(versions)) if versions else await _told_of(tx, model)
    for number in versions:
        if await tx.version(model.tenant, model.name, number) is None:
            raise VersionNotFound(model.name, number)
    return Look([await _of_version(tx, model, each, since, metric) for each in wanted], since)


async def _told_of(tx: Transaction, model: Model) -> list[int]:
    newest = await tx.versions(model.tenant, model.name, limit=MOST_ROUTED)
    live = [each.number for each in newest if each.retired_at is None]
    routed = sorted(model.route.weights)
    return sorted(dict.fromkeys([*routed, *live][:MOST_ROUTED]))


async def _of_version(
    tx: Transaction, model: Model, number: int, since: datetime, metric: str | None
) -> Performance:
    version = version_id(model.tenant, f"{model.name}@{number}")
    outcomes = await tx.outcomes(version, since=since, metric=metric, limit=MOST_LOOKED_AT)
    return performance(number, outcomes)
