"""Accept jobs: check that somebody can run them, keep each with its outbox row, once per key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from headrace.contracts.ids import BlobId, JobId, KeyId, TenantId, UserId
from headrace.contracts.messages import INPUT_BLOB, MAX_INLINE_BYTES, EngineCard
from headrace.core.blob_names import MAX_INPUT_BLOBS, kept_for
from headrace.core.errors import IdempotencyConflict, InvalidInput
from headrace.core.gang import Gang, gang_of
from headrace.core.job import Job, Spec, State, Webhook
from headrace.core.ports.blobs import Blob, Blobs
from headrace.core.ports.store import (
    Conflict,
    Created,
    IdempotencyKey,
    Insertion,
    NewJob,
    Replayed,
    Store,
    Transaction,
)
from headrace.core.ports.upkeep import BlobUse
from headrace.core.usecases.admit import Admission
from headrace.core.usecases.kudos import hold
from headrace.core.usecases.pick import Picked, pick, weights_of
from headrace.core.usecases.shadow import make_shadow

Check: TypeAlias = Callable[[EngineCard, Mapping[str, Any]], None]
"""Raises InvalidInput when an input does not fit an engine's schema."""
Shadowed: TypeAlias = Callable[[Job], bool]
"""Whether this job is to run on the other path too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    tenant: TenantId
    kind: str
    input: dict[str, Any]
    model: str | None = None  # an engine's own, or a registered one; None: the kind's default
    sticky: str | None = None  # who shares a version of a registered model; None: the whole tenant
    card: EngineCard | None = None  # who shall run it; None: whom the catalog names
    priority: int = 0
    run_at: datetime | None = None
    start_deadline: datetime | None = None
    timeout_s: float = 3600.0
    labels: dict[str, str] = field(default_factory=dict)
    cancel_after_s: float | None = None
    conversation: str | None = None
    wants: str | None = None  # as core/wants.py writes it; None: not for workers that come by HTTP
    payload: dict[str, Any] | None = None  # what those are told in place of `input`
    webhook: Webhook | None = None  # checked at the door, by `core.addresses`
    register_as: str | None = None  # checked at the door, by `core.models`
    idempotency: IdempotencyKey | None = None
    api_key: KeyId | None = None
    payer: UserId | None = None  # the tenant's user; None: nobody pays
    price: int | None = None  # milli-kudos, as quoted
    trace: str | None = None
    gang: Gang | None = None  # None: it is read from the input


@dataclass(frozen=True, slots=True)
class Submitted:
    job: Job
    replayed: bool


async def submit(  # noqa: PLR0913  # what it decides with, each by its name
    store: Store,
    blobs: Blobs,
    request: Submission,
    *,
    path: str,
    new_id: Callable[[], str],
    check: Check,
    admission: Admission | None = None,  # None: no caps
    shadowed: Shadowed | None = None,
) -> Submitted:
    """Raises UnknownModel, InvalidInput, IdempotencyConflict or Unavailable; then no job is kept.

    So do TenantQueueFull, QueuesFull and what `hold` raises where somebody pays. What was taken in before
    is told again however full it is.
    """
    with_what = Taking(path, new_id, check, admission, shadowed)
    (submitted,) = await submit_together(store, blobs, [request], with_what)
    return submitted


@dataclass(frozen=True, slots=True)
class Taking:
    """What jobs are taken in with."""

    path: str
    new_id: Callable[[], str]
    check: Check
    admission: Admission | None = None
    shadowed: Shadowed | None = None


async def submit_together(
    store: Store, blobs: Blobs, requests: Sequence[Submission], how: Taking
) -> list[Submitted]:
    """Some of one tenant and kind: all of them or none, in one transaction. Raises as `submit` does."""
    await _look(store, how.admission, requests)
    ready = [await prepared(store, blobs, request, how.check) for request in requests]
    async with store.begin() as tx:
        outcomes = [await _take_in(tx, each, how) for each in ready]
    return [_told(each, outcome) for each, outcome in zip(requests, outcomes, strict=True)]


@dataclass(frozen=True, slots=True)
class Ready:
    """What can be taken in: small enough for a row, with what it names."""

    request: Submission
    check: Check
    named: Sequence[BlobId]


async def prepared(store: Store, blobs: Blobs, request: Submission, check: Check) -> Ready:
    named = list(dict.fromkeys(named_blobs(request.input) + named_blobs(request.payload or {})))
    request = await _with_small_payload(blobs, request, named)
    encoded = msgspec.json.encode(request.input)
    if len(encoded) > MAX_INLINE_BYTES:
        # Too large for the grant that will carry it. Checked before anything is kept of it, and while
        # that takes its time neither this loop nor a transaction waits.
        async with store.begin() as tx:
            picked = await pick_for(tx, request)
        await asyncio.to_thread(check, picked.card, request.input)
        blob = await blobs.put(request.tenant, Blob("application/json", encoded))
        gang = gang_of(picked.card, request.input)
        request, check = replace(request, input={INPUT_BLOB: blob}, gang=gang), _checked
        named.append(blob)
    return Ready(request, check, named)


async def _take_in(tx: Transaction, ready: Ready, how: Taking) -> Insertion:
    request = ready.request
    picked = await pick_for(tx, request)
    ready.check(picked.card, request.input)
    job = await new_job(tx, request, picked, how.path, JobId(how.new_id()))
    (outcome,) = await tx.insert([NewJob(job, request.idempotency)])
    if isinstance(outcome, Created):
        await _provide(tx, request, job, ready.named)
        # Another worker's picture tells nothing of a path: what remote workers may take has no shadow.
        # Nor has what several workers run: on the other path there may be no such workers.
        alone = job.spec.wants is None and job.spec.nodes == 1
        if alone and how.shadowed is not None and how.shadowed(job):
            await make_shadow(tx, job, JobId(how.new_id()))
        if how.admission is not None:
            how.admission.refuse_if_full(request.tenant)  # rolls back
            how.admission.count(request.tenant)
    return outcome


def _told(request: Submission, outcome: Insertion) -> Submitted:
    match outcome:
        case Created(job):
            return Submitted(job, replayed=False)
        case Replayed(job):
            return Submitted(job, replayed=True)
        case Conflict():
            raise IdempotencyConflict(request.idempotency.key if request.idempotency else "")


async def _with_small_payload(blobs: Blobs, request: Submission, named: list[BlobId]) -> Submission:
    """As with an input: a grant has no room for more."""
    encoded = msgspec.json.encode(request.payload)
    if len(encoded) <= MAX_INLINE_BYTES:
        return request
    blob = await blobs.put(request.tenant, Blob("application/json", encoded))
    named.append(blob)
    return replace(request, payload={INPUT_BLOB: blob})


async def _provide(tx: Transaction, request: Submission, job: Job, named: Sequence[BlobId]) -> None:
    """What a new job stands on: its blobs stay, and its price is held."""
    await tx.use_blobs([BlobUse(job.tenant, blob, job.id) for blob in named] + weights_of(job))
    if request.payer is not None:
        await hold(tx, request.payer, job, job.price or 0)


async def _look(store: Store, admission: Admission | None, requests: Sequence[Submission]) -> None:
    if admission is None:
        return
    first = requests[0]
    await admission.look(store, first.tenant)
    if first.idempotency is None:
        more = len(requests) - 1
        admission.refuse_if_full(first.tenant, more=more, more_in_all=more)


async def pick_for(tx: Transaction, request: Submission) -> Picked:
    """Raises UnknownModel."""
    card, model = request.card, request.model
    if card is None:
        catalog = await tx.catalog()
        return await pick(tx, catalog, request.tenant, request.kind, model, request.sticky)
    if card.formats and model not in card.models:
        return await pick(tx, [card], request.tenant, request.kind, model, request.sticky)
    return Picked(card, model or card.models[0])


def _checked(card: EngineCard, given: Mapping[str, Any]) -> None:
    """It was, before it became a blob."""


def named_blobs(given: dict[str, Any]) -> list[BlobId]:
    """Those that an input names, which stay as long as what names them. Raises InvalidInput."""
    named = kept_for(given)
    if len(named) > MAX_INPUT_BLOBS:
        raise InvalidInput("", f"it names {len(named)} blobs; {MAX_INPUT_BLOBS} are the most")
    return named


def check_inline(request: Submission) -> None:
    """For what is kept before it is submitted. Raises InvalidInput."""
    size = len(msgspec.json.encode(request.input))
    if size > MAX_INLINE_BYTES:
        why = f"it has {size} bytes, and {MAX_INLINE_BYTES} are the most here; name blobs instead"
        raise InvalidInput("", why)


async def new_job(
    tx: Transaction, request: Submission, picked: Picked, path: str, job: JobId
) -> Job:
    """As it will be inserted."""
    waits = request.run_at is not None and request.run_at > await tx.now()
    gang = request.gang or gang_of(picked.card, request.input)
    return Job(
        id=job,
        tenant=request.tenant,
        spec=Spec(
            kind=request.kind,
            model=picked.model,
            input=request.input,
            priority=request.priority,
            timeout_s=request.timeout_s,
            start_deadline=request.start_deadline,
            labels=request.labels,
            cancel_after_s=request.cancel_after_s,
            conversation=request.conversation,
            wants=request.wants,
            payload=request.payload,
            webhook=request.webhook,
            register_as=request.register_as,
            nodes=gang.nodes,
            gpus=gang.gpus,
        ),
        lane=picked.card.lane,
        artefact=picked.artefact,
        path=path,
        state=State.SCHEDULED if waits else State.QUEUED,
        not_before=request.run_at if waits else None,
        api_key=request.api_key,
        price=None if request.payer is None else request.price or 0,
        trace=request.trace,
    )
