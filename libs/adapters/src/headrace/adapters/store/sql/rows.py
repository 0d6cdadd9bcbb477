"""Records to rows and back: the only place that knows which column holds which field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from headrace.adapters.store.sql.types import written
from headrace.contracts.ids import ClaimId, JobId, KeyId, Lane, TenantId, WorkerId
from headrace.contracts.messages import Artefact, EngineCard, Stages, Vitals
from headrace.core.job import Checkpoint, Job, Spec, State, Webhook
from headrace.core.models import version_id
from headrace.core.ports.operations import Held, Member
from headrace.core.ports.store import (
    AttemptEnd,
    AttemptRecord,
    Change,
    NewJob,
    Waiting,
    WorkerRecord,
)


def new_row(new: NewJob) -> dict[str, Any]:
    job, spec = new.job, new.job.spec
    return {
        "id": job.id,
        "tenant": job.tenant,
        "kind": spec.kind,
        "model": spec.model,
        "input": spec.input,
        "priority": spec.priority,
        "timeout_s": spec.timeout_s,
        "start_deadline": written(spec.start_deadline),
        "labels": spec.labels,
        "lane": job.lane,
        "path": job.path,
        "state": job.state,
        "epoch": job.epoch,
        "not_before": written(job.not_before),
        "trace": job.trace,
        "retry_of": job.retry_of,
        "shadow_of": job.shadow_of,
        "shadow_tenant": job.shadow_tenant,
        "cancel_after_s": spec.cancel_after_s,
        "conversation": spec.conversation,
        "wants": spec.wants,
        "payload": spec.payload,
        "api_key": job.api_key,
        "price": job.price,
        "webhook": None if spec.webhook is None else msgspec.to_builtins(spec.webhook),
        "checkpoint": None if job.checkpoint is None else msgspec.to_builtins(job.checkpoint),
        "register_as": spec.register_as,
        "nodes": spec.nodes if spec.nodes > 1 else None,
        "gpus": spec.gpus if spec.nodes > 1 else None,
        "artefact": None if job.artefact is None else msgspec.to_builtins(job.artefact),
        "version": None if job.artefact is None else version_id(job.artefact.tenant, spec.model),
    }


def key_row(new: NewJob) -> dict[str, Any]:
    if new.idempotency is None:
        raise ValueError(f"job {new.job.id} has no idempotency key")
    key = new.idempotency
    return {
        "tenant": new.job.tenant,
        "key": key.key,
        "fingerprint": key.fingerprint,
        "id": new.job.id,
    }


def change_row(change: Change) -> dict[str, Any]:
    before, after = change.before, change.after
    return {
        "id": before.id,
        "from_state": before.state,
        "from_epoch": before.epoch,
        "state": after.state,
        "epoch": after.epoch,
        "attempt": after.attempt,
        "failures": after.failures,
        "losses": after.losses,
        "worker": after.worker,
        "claim": after.claim,
        "lease_until": written(after.lease_until),
        "not_before": written(after.not_before),
        "cancel_asked_at": written(after.cancel_asked_at),
        "progress": after.progress,
        "output": after.output,
        "error": after.error,
        "attempt_trace": after.attempt_trace,
    }


def to_job(row: Row[Any]) -> Job:
    return Job(
        id=JobId(row.id),
        tenant=TenantId(row.tenant),
        spec=_to_spec(row),
        lane=Lane(row.lane),
        path=row.path,
        state=State(row.state),
        retry_of=None if row.retry_of is None else JobId(row.retry_of),
        shadow_of=None if row.shadow_of is None else JobId(row.shadow_of),
        shadow_tenant=None if row.shadow_tenant is None else TenantId(row.shadow_tenant),
        epoch=row.epoch,
        attempt=row.attempt,
        failures=row.failures,
        losses=row.losses,
        worker=None if row.worker is None else WorkerId(row.worker),
        claim=None if row.claim is None else ClaimId(row.claim),
        lease_until=row.lease_until,
        not_before=row.not_before,
        cancel_asked_at=row.cancel_asked_at,
        cancel_reason=row.cancel_reason,
        progress=row.progress,
        checkpoint=to_checkpoint(row),
        output=row.output,
        error=row.error,
        artefact=None if row.artefact is None else msgspec.convert(row.artefact, Artefact),
        api_key=None if row.api_key is None else KeyId(row.api_key),
        price=row.price,
        trace=row.trace,
        attempt_trace=row.attempt_trace,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def to_checkpoint(row: Row[Any]) -> Checkpoint | None:
    return None if row.checkpoint is None else msgspec.convert(row.checkpoint, Checkpoint)


def _to_spec(row: Row[Any]) -> Spec:
    return Spec(
        kind=row.kind,
        model=row.model,
        input=row.input,
        priority=row.priority,
        timeout_s=row.timeout_s,
        start_deadline=row.start_deadline,
        labels=row.labels,
        cancel_after_s=row.cancel_after_s,
        conversation=row.conversation,
        wants=row.wants,
        payload=row.payload,
        webhook=None if row.webhook is None else msgspec.convert(row.webhook, Webhook),
        register_as=row.register_as,
        nodes=row.nodes or 1,
        gpus=row.gpus or 1,
    )


def to_waiting(row: Row[Any]) -> Waiting:
    return Waiting(JobId(row.job), row.epoch, TenantId(row.tenant), row.trace, row.wants)


def started_row(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "attempt": job.attempt,
        "epoch": job.epoch,
        "worker": job.worker,
        "resumed_step": None if job.checkpoint is None else job.checkpoint.step,
    }


def ended_row(end: AttemptEnd) -> dict[str, Any]:
    return {
        "job": end.job,
        "attempt": end.attempt,
        "outcome": end.outcome,
        "error": None if end.error is None else dict(end.error),
        "stages": msgspec.to_builtins(end.stages),
    }


def to_attempt(row: Row[Any]) -> AttemptRecord:
    return AttemptRecord(
        attempt=row.attempt,
        epoch=row.epoch,
        worker=WorkerId(row.worker),
        started_at=row.started_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
        error=row.error,
        stages=None if row.stages is None else msgspec.convert(row.stages, Stages),
        resumed_step=row.resumed_step,
        members=tuple(WorkerId(each) for each in row.members or ()),
    )


def to_worker(row: Row[Any]) -> WorkerRecord:
    slots = {Lane(lane): number for lane, number in row.slots.items()}
    draining = row.drain_asked_at is not None
    return WorkerRecord(WorkerId(row.id), slots, row.seen_at, row.path, draining)


def to_member(row: Row[Any]) -> Member:
    return Member(
        id=WorkerId(row.id),
        path=row.path,
        slots={Lane(lane): number for lane, number in row.slots.items()},
        seen_at=row.seen_at,
        drain_asked_at=row.drain_asked_at,
        vitals=None if row.vitals is None else msgspec.convert(row.vitals, Vitals),
    )


def to_held(row: Row[Any]) -> Held:
    return Held(
        job=JobId(row.id),
        worker=None if row.worker is None else WorkerId(row.worker),
        kind=row.kind,
        lane=Lane(row.lane),
        path=row.path,
        attempt=row.attempt,
        started_at=row.attempt_began,
        progress=row.progress,
    )


def card_rows(cards: Sequence[EngineCard]) -> list[dict[str, Any]]:
    """One for each kind and model; of two, the later."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for card in cards:
        for rank, model in enumerate(card.models):
            rows[card.kind, model] = {
                "kind": card.kind,
                "model": model,
                "lane": card.lane,
                "rank": rank,
                "title": card.title,
                "input_schema": card.input_schema,
                "nodes": card.nodes if card.nodes > 1 else None,
            }
    return [rows[key] for key in sorted(rows)]  # in one order everywhere: no deadlocks


def format_rows(cards: Sequence[EngineCard]) -> list[dict[str, Any]]:
    rows = {
        (card.lane, each): {
            "lane": card.lane,
            "format": each,
            "kind": card.kind,
            "title": card.title,
            "input_schema": card.input_schema,
        }
        for card in cards
        for each in card.formats
    }
    return [rows[key] for key in sorted(rows)]


def to_cards(rows: Sequence[Row[Any]], served: Sequence[Row[Any]]) -> list[EngineCard]:
    """Models that still are what one card said are one card again; an engine may have formats alone."""
    cards = _with_models(rows)
    for row in served:
        card = EngineCard(Lane(row.lane), row.kind, [], row.input_schema, row.title, [row.format])
        for other in cards:
            if _same_engine(other, card):
                other.formats.append(row.format)
                break
        else:
            cards.append(card)
    return cards


def _with_models(rows: Sequence[Row[Any]]) -> list[EngineCard]:
    cards: list[EngineCard] = []
    for row in rows:
        nodes = row.nodes or 1
        card = EngineCard(
            Lane(row.lane), row.kind, [row.model], row.input_schema, row.title, [], nodes
        )
        if cards and _same_engine(cards[-1], card):
            cards[-1].models.append(row.model)
        else:
            cards.append(card)
    return cards


def _same_engine(one: EngineCard, other: EngineCard) -> bool:
    return (one.lane, one.kind, one.title, one.input_schema) == (
        other.lane,
        other.kind,
        other.title,
        other.input_schema,
    )
