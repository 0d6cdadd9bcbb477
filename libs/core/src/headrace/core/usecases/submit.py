"""Accept jobs: check that somebody can run them, keep each with its outbox row, once per key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from headrace.contracts.ids import BlobId, JobId, KeyId, TenantId
from headrace.contracts.messages import INPUT_BLOB, MAX_INLINE_BYTES, EngineCard
from headrace.core.blob_names import MAX_INPUT_BLOBS, kept_for
from headrace.core.errors import IdempotencyConflict, InvalidInput, UnknownModel
from headrace.core.job import Job, Spec, State
from headrace.core.ports.blobs import Blob, Blobs
from headrace.core.ports.store import (
    Conflict,
    Created,
    IdempotencyKey,
    NewJob,
    Replayed,
    Store,
    Transaction,
)
from headrace.core.ports.upkeep import BlobUse
from headrace.core.usecases.admit import Admission
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
    model: str | None = None  # None: the kind's default
    card: EngineCard | None = None  # who shall run it; None: whom the catalog names
    priority: int = 0
    run_at: datetime | None = None
    start_deadline: datetime | None = None
    timeout_s: float = 3600.0
    labels: dict[str, str] = field(default_factory=dict)
    cancel_after_s: float | None = None
    conversation: str | None = None
    idempotency: IdempotencyKey | None = None
    api_key: KeyId | None = None
    trace: str | None = None


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

    So do TenantQueueFull and QueuesFull. What was taken in before is told again however full it is.
    """
    (submitted,) = await submit_together(
        store,
        blobs,
        [request],
        path=path,
        new_id=new_id,
        check=check,
        admission=admission,
        shadowed=shadowed,
    )
    return submitted


async def submit_together(  # noqa: PLR0913  # as above
    store: Store,
    blobs: Blobs,
    requests: Sequence[Submission],
    *,
    path: str,
    new_id: Callable[[], str],
    check: Check,
    admission: Admission | None = None,
    shadowed: Shadowed | None = None,
) -> list[Submitted]:
    """The same for some requests of one tenant and kind: all of them are kept, or none."""
    await _look(store, admission, requests)
    ready = [await _spread(store, blobs, request, check) for request in requests]
    async with store.begin() as tx:
        new = [await _checked_job(tx, each, path, JobId(new_id())) for each in ready]
        outcomes = await tx.insert(new)
        for each, outcome in zip(ready, outcomes, strict=True):
            if isinstance(outcome, Created):
                await _keep(tx, outcome.job, each.named, new_id, shadowed)
                if admission is not None:
                    admission.refuse_if_full(each.request.tenant)  # rolls back
                    admission.count(each.request.tenant)
        return [
            _submitted(each.request, outcome) for each, outcome in zip(ready, outcomes, strict=True)
        ]


def _submitted(request: Submission, outcome: Created | Replayed | Conflict) -> Submitted:
    match outcome:
        case Created(job):
            return Submitted(job, replayed=False)
        case Replayed(job):
            return Submitted(job, replayed=True)
        case Conflict():
            raise IdempotencyConflict(request.idempotency.key if request.idempotency else "")


@dataclass(frozen=True, slots=True)
class _Ready:
    """A request whose input fits into a message, and the blobs that it names."""

    request: Submission
    check: Check
    named: list[BlobId]


async def _spread(store: Store, blobs: Blobs, request: Submission, check: Check) -> _Ready:
    """An input that is too large for the grant that will carry it becomes a blob.

    Checked before anything is kept of it, and while that takes its time neither this loop nor a
    transaction waits.
    """
    named = named_blobs(request.input)
    encoded = msgspec.json.encode(request.input)
    if len(encoded) <= MAX_INLINE_BYTES:
        return _Ready(request, check, named)
    async with store.begin() as tx:
        card = await _card(tx, request)
    await asyncio.to_thread(check, card, request.input)
    blob = await blobs.put(request.tenant, Blob("application/json", encoded))
    return _Ready(replace(request, input={INPUT_BLOB: blob}), _checked, [*named, blob])


async def _checked_job(tx: Transaction, ready: _Ready, path: str, job: JobId) -> NewJob:
    card = await _card(tx, ready.request)
    ready.check(card, ready.request.input)
    return NewJob(await new_job(tx, ready.request, card, path, job), ready.request.idempotency)


async def _keep(
    tx: Transaction,
    job: Job,
    named: Sequence[BlobId],
    new_id: Callable[[], str],
    shadowed: Shadowed | None,
) -> None:
    await tx.use_blobs([BlobUse(job.tenant, blob, job.id) for blob in named])
    if shadowed is not None and shadowed(job):
        await make_shadow(tx, job, JobId(new_id()))


async def _look(store: Store, admission: Admission | None, requests: Sequence[Submission]) -> None:
    if admission is None:
        return
    first = requests[0]
    await admission.look(store, first.tenant)
    if first.idempotency is None:
        more = len(requests) - 1
        admission.refuse_if_full(first.tenant, more=more, more_in_all=more)


async def _card(tx: Transaction, request: Submission) -> EngineCard:
    if request.card is not None:
        return request.card
    return pick_engine(await tx.catalog(), request.kind, request.model)


def _checked(card: EngineCard, given: Mapping[str, Any]) -> None:
    """It was, before it became a blob."""


def pick_engine(catalog: list[EngineCard], kind: str, model: str | None) -> EngineCard:
    """The engine for a kind and model; for a kind alone, the first. Raises UnknownModel."""
    of_kind = [card for card in catalog if card.kind == kind]
    if not of_kind:
        raise UnknownModel(kind, None, sorted({card.kind for card in catalog}))
    if model is None:
        return of_kind[0]
    for card in of_kind:
        if model in card.models:
            return card
    raise UnknownModel(kind, model, sorted(name for card in of_kind for name in card.models))


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
    tx: Transaction, request: Submission, card: EngineCard, path: str, job: JobId
) -> Job:
    """As it will be inserted."""
    waits = request.run_at is not None and request.run_at > await tx.now()
    return Job(
        id=job,
        tenant=request.tenant,
        spec=Spec(
            kind=request.kind,
            model=request.model or card.models[0],
            input=request.input,
            priority=request.priority,
            timeout_s=request.timeout_s,
            start_deadline=request.start_deadline,
            labels=request.labels,
            cancel_after_s=request.cancel_after_s,
            conversation=request.conversation,
        ),
        lane=card.lane,
        path=path,
        state=State.SCHEDULED if waits else State.QUEUED,
        not_before=request.run_at if waits else None,
        api_key=request.api_key,
        trace=request.trace,
    )
