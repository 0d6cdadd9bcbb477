"""Who runs a job that is asked for: an engine's own model, or a version of a registered one.

An engine's own names go first. What is registered is looked up inside the transaction that takes the job
in, so a route that was changed holds for the next job.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headrace.contracts.ids import TenantId
from headrace.contracts.messages import Artefact, EngineCard
from headrace.core.errors import NoDefault, NotServed, UnknownModel, UnknownVersion
from headrace.core.job import Job
from headrace.core.models import Version, place_of, read_asked
from headrace.core.ports.models import Models
from headrace.core.ports.upkeep import BlobUse

_TOLD: Final = 50  # names, to who asked for another


@dataclass(frozen=True, slots=True)
class Picked:
    card: EngineCard
    model: str  # as the job keeps it: of a registered one `NAME@N`
    artefact: Artefact | None = None


async def pick(
    tx: Models,
    catalog: Sequence[EngineCard],
    tenant: TenantId,
    kind: str,
    model: str | None,
    sticky: str | None = None,
) -> Picked:
    """Raises UnknownModel, or one of its kinds: NoDefault, UnknownVersion, NotServed."""
    try:
        card = pick_engine(catalog, kind, model)
    except UnknownModel as unknown:
        version = await _registered(tx, unknown, tenant, sticky)
        card = who_serves(catalog, kind, version.asked_as, version.artefact.format)
        return Picked(card, version.asked_as, version.artefact)
    return Picked(card, model or card.models[0])


def pick_engine(catalog: Sequence[EngineCard], kind: str, model: str | None) -> EngineCard:
    """The engine for a kind and model; for a kind alone, the first. Raises UnknownModel."""
    of_kind = [card for card in catalog if card.kind == kind]
    if not of_kind:
        raise UnknownModel(kind, None, sorted({card.kind for card in catalog}))
    for card in of_kind:
        if model in card.models or (model is None and card.models):
            return card
    if model is None:
        raise NoDefault(kind, [])
    raise UnknownModel(kind, model, sorted(name for card in of_kind for name in card.models))


def engine_of(catalog: Sequence[EngineCard], job: Job) -> EngineCard:
    """Who would run this job now. Raises UnknownModel, NotServed."""
    if job.artefact is None:
        return pick_engine(catalog, job.spec.kind, job.spec.model)
    return who_serves(catalog, job.spec.kind, job.spec.model, job.artefact.format)


def weights_of(job: Job) -> list[BlobUse]:
    """That they stay for as long as the job, whatever becomes of their version."""
    artefact = job.artefact
    return [] if artefact is None else [BlobUse(artefact.tenant, artefact.blob, job.id)]


async def _registered(
    tx: Models, unknown: UnknownModel, tenant: TenantId, sticky: str | None
) -> Version:
    if unknown.model is None:
        raise unknown
    asked = read_asked(unknown.model)
    model = None if asked is None else await tx.model(tenant, asked[0])
    if asked is None or model is None:
        raise await _with_registered(tx, unknown, tenant)
    name, number = asked
    if number is None:
        number = model.route.choose(place_of(model.tenant, name, tenant, sticky))
    version = await tx.version(model.tenant, name, number)
    if version is None or version.retired_at is not None:
        found = await tx.versions(model.tenant, name, limit=_TOLD)
        live = [each.asked_as for each in found if each.retired_at is None]
        raise UnknownVersion(unknown.kind, f"{name}@{number}", live)
    return version


async def _with_registered(tx: Models, unknown: UnknownModel, tenant: TenantId) -> UnknownModel:
    names = [each.name for each in await tx.models(tenant, after="", limit=_TOLD)]
    if isinstance(unknown, NoDefault):
        return NoDefault(unknown.kind, names)
    return UnknownModel(unknown.kind, unknown.model, sorted({*unknown.known, *names}))


def who_serves(catalog: Sequence[EngineCard], kind: str, model: str, wanted: str) -> EngineCard:
    for card in catalog:
        if card.kind == kind and wanted in card.formats:
            return card
    served = {each for card in catalog if card.kind == kind for each in card.formats}
    raise NotServed(kind, model, wanted, sorted(served))
