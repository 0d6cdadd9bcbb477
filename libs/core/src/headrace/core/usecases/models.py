"""What becomes of registered models: a version more, another route, a step back, one version less.

Who changes something is named in the model's own history, where it is a route, and in the audit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

import msgspec

from headrace.contracts.ids import BlobId, JobId, TenantId
from headrace.contracts.messages import Artefact
from headrace.core.errors import (
    BadModel,
    BlobNotFound,
    JobNotFound,
    ModelNotFound,
    ModelNotReady,
    VersionNotFound,
)
from headrace.core.job import Job, State
from headrace.core.models import (
    How,
    Model,
    NewVersion,
    Route,
    Version,
    check_name,
    check_weights,
)
from headrace.core.ports.blobs import Blobs
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.store import Transaction
from headrace.core.ports.upkeep import BlobUse

MADE: Final = "model"  # the field of a training job's output that says what it made
MOST_FEEDBACK: Final = 16  # names, for one job

log = logging.getLogger(__name__)


class _Blob(msgspec.Struct):
    blob: BlobId


class _Made(msgspec.Struct):
    """What a training engine says that it made."""

    artefact: _Blob
    format: str
    sha256: str
    bytes: int
    metrics: dict[str, float] = {}
    parameters: dict[str, Any] = {}
    data: str = ""


# -- registering ------------------------------------------------------------------------------------


async def weigh(blobs: Blobs, tenant: TenantId, blob: BlobId, format_: str) -> Artefact:
    """An artefact as its bytes say it is. Raises BadModel where the tenant has no such blob; Unavailable."""
    try:
        found = await blobs.get(tenant, blob)
    except BlobNotFound as error:
        raise BadModel("/artefact/blob", str(error)) from error
    digest = await asyncio.to_thread(lambda: sha256(found.data).hexdigest())
    return Artefact(tenant, blob, format_, digest, len(found.data))


async def register(tx: Transaction, new: NewVersion) -> Version:
    """Raises BadModel, and JobNotFound for a job of another tenant's."""
    check_name(new.name)
    if new.job is not None and await tx.find(new.tenant, new.job) is None:
        raise JobNotFound(new.job)
    return await _add(tx, new)


async def register_made(tx: Transaction, over: Sequence[Job]) -> None:
    """These jobs have ended, in this transaction: those that were to register what they made do so.

    That a job ends once makes its version one. What it says of itself is believed, as all of its result
    is; who loads the artefact checks it.
    """
    made = [new for job in over if registers(job) and (new := _made_by(job)) is not None]
    for new in sorted(made, key=lambda each: (each.tenant, each.name)):  # no ring of locks
        await _add(tx, new)


def registers(job: Job) -> bool:
    """Whether its end, being this, makes a version."""
    return (
        job.state is State.SUCCEEDED and job.spec.register_as is not None and job.shadow_of is None
    )


def _made_by(job: Job) -> NewVersion | None:
    """None: its output says nothing that could be registered. The job itself has gone well all the same."""
    try:
        said = msgspec.convert((job.output or {}).get(MADE), _Made)
        check_name(job.spec.register_as or "")
    except (msgspec.ValidationError, BadModel) as error:
        log.warning("model.not_registered", extra={"job": job.id, "error": str(error)})
        return None
    return NewVersion(
        tenant=job.tenant,
        name=job.spec.register_as or "",
        artefact=Artefact(job.tenant, said.artefact.blob, said.format, said.sha256, said.bytes),
        metrics=said.metrics,
        parameters=said.parameters,
        data=said.data,
        job=job.id,
        made_by=maker(job.id),
    )


def maker(job: JobId) -> str:
    """Who has made what that job registered: not whoever registers by hand and names the job."""
    return f"job {job}"


async def _add(tx: Transaction, new: NewVersion) -> Version:
    version = await tx.add_version(new)
    artefact = version.artefact
    await tx.use_blobs([BlobUse(artefact.tenant, artefact.blob, f"model:{version.id}")])
    if version.number == 1:
        first = Route(number=1, weights={1: 1.0}, how=How.FIRST, changed_by=new.made_by)
        await tx.add_route(new.tenant, new.name, first)
    said = {"format": artefact.format, "sha256": artefact.sha256, "job": new.job}
    await tx.audit([Deed(new.made_by, "model.register", version.id, said)])
    return version


# -- looking ----------------------------------------------------------------------------------------


async def find_model(tx: Transaction, tenant: TenantId, name: str) -> Model:
    """The tenant's own, or a shared one. Raises ModelNotFound."""
    found = await tx.model(tenant, name)
    if found is None:
        raise ModelNotFound(name)
    return found


async def find_version(tx: Transaction, model: Model, number: int) -> Version:
    """Raises VersionNotFound."""
    found = await tx.version(model.tenant, model.name, number)
    if found is None:
        raise VersionNotFound(model.name, number)
    return found


# -- routing ----------------------------------------------------------------------------------------


async def route(  # what shall hold, and whose word it is
    tx: Transaction,
    tenant: TenantId,
    name: str,
    weights: Mapping[int, float],
    *,
    who: str,
    expect: int | None = None,
) -> Model:
    """Share a model's jobs out between versions. Raises ModelNotFound, BadModel, ModelNotReady."""
    check_weights(weights)
    model = await _locked(tx, tenant, name)
    if expect not in {None, model.route.number}:
        raise ModelNotReady(name, f"has route {model.route.number} now; read it again")
    await _check_live(tx, model, weights)
    return await _changed(tx, model, weights, How.ROUTED, who)


async def promote(tx: Transaction, tenant: TenantId, name: str, number: int, *, who: str) -> Model:
    """All jobs to one version. Raises ModelNotFound, BadModel."""
    model, all_ = await _locked(tx, tenant, name), {number: 1.0}
    await _check_live(tx, model, all_, pointer="/version")
    return await _changed(tx, model, all_, How.PROMOTED, who)


async def roll_back(tx: Transaction, tenant: TenantId, name: str, *, who: str) -> Model:
    """To the route that held before. Raises ModelNotFound, ModelNotReady."""
    model = await _locked(tx, tenant, name)
    target = await _before(tx, model)
    if target is None:
        raise ModelNotReady(name, "has no route before this one")
    for number in target.weights:
        if (await find_version(tx, model, number)).retired_at is not None:
            raise ModelNotReady(name, f"would go back to version {number}, which is retired")
    return await _changed(tx, model, target.weights, How.ROLLED_BACK, who, target.origin)


async def retire(tx: Transaction, tenant: TenantId, name: str, number: int, *, who: str) -> Version:
    """For ever: nobody is given it any more. Jobs that have it already keep it, and its blob with them.

    Asking twice changes nothing. Raises ModelNotFound, VersionNotFound, ModelNotReady.
    """
    model = await _locked(tx, tenant, name)
    back = await _before(tx, model)
    if number in model.route.weights:
        raise ModelNotReady(name, f"sends jobs to version {number}; route them elsewhere first")
    if back is not None and number in back.weights:
        why = f"would go back to version {number}; change its route once more first"
        raise ModelNotReady(name, why)
    found = await find_version(tx, model, number)
    if found.retired_at is not None:
        return found
    await tx.audit([Deed(who, "model.retire", found.id)])
    return await tx.retire_version(tenant, name, number, who=who)


async def share(tx: Transaction, owner: TenantId, name: str, *, shared: bool, who: str) -> Model:
    """Let all tenants use it, or its owner alone. Raises ModelNotFound, ModelNotReady."""
    model = await _locked(tx, owner, name)
    if (model.shared_at is not None) is shared:
        return model
    if not await tx.share_model(owner, name, shared=shared):
        raise ModelNotReady(name, "cannot be shared: another tenant's model of that name is")
    await tx.audit([Deed(who, "model.share" if shared else "model.unshare", f"{owner}/{name}")])
    return await _locked(tx, owner, name)


async def _locked(tx: Transaction, tenant: TenantId, name: str) -> Model:
    """The tenant's own: a shared one is changed by its owner alone. Raises ModelNotFound."""
    found = await tx.lock_model(tenant, name)
    if found is None:
        raise ModelNotFound(name)
    return found


async def _before(tx: Transaction, model: Model) -> Route | None:
    number = model.route.before
    return None if number is None else await tx.route(model.tenant, model.name, number)


async def _check_live(
    tx: Transaction, model: Model, weights: Mapping[int, float], pointer: str = "/weights"
) -> None:
    for number in weights:
        found = await tx.version(model.tenant, model.name, number)
        if found is None or found.retired_at is not None:
            gone = "is retired" if found is not None else "is not there"
            raise BadModel(pointer, f"version {number} of {model.name!r} {gone}")


async def _changed(
    tx: Transaction,
    model: Model,
    weights: Mapping[int, float],
    how: How,
    who: str,
    restores: int | None = None,
) -> Model:
    route = Route(
        number=model.route.number + 1, weights=weights, how=how, restores=restores, changed_by=who
    )
    held = await tx.add_route(model.tenant, model.name, route)
    said = {"how": how, "shares": {str(number): share for number, share in held.shares.items()}}
    await tx.audit([Deed(who, "model.route", f"{model.tenant}/{model.name}", said)])
    return replace(model, route=held)


# -- what its users think ---------------------------------------------------------------------------


async def give_feedback(
    tx: Transaction, tenant: TenantId, job: JobId, name: str, value: float
) -> None:
    """Of one of the tenant's jobs. Raises JobNotFound, and BadModel where it has as many names as it may."""
    if await tx.find(tenant, job) is None:
        raise JobNotFound(job)
    if not await tx.note_feedback(job, name, value, most=MOST_FEEDBACK):
        raise BadModel("/name", f"a job has feedback of {MOST_FEEDBACK} names at most")
