"""What a webhook says, and to whom: pure. The store writes it down with the move that it tells of.

Every move of a job goes through the store's `save`, whoever makes it: a claim, a result, a lost
lease, a deadline, a wish to cancel, a producer outside. So that is where calls are made, in the same
transaction, and nothing that ends a job can forget them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from headrace.contracts.ids import CallId, EndpointId, JobId, TenantId
from headrace.core.addresses import Reach, Refusal, target_of
from headrace.core.batch import Batch
from headrace.core.errors import BadWebhook
from headrace.core.job import HELD, Job, State, Webhook
from headrace.core.ports.webhooks import Call, Endpoint

MAX_BODY_BYTES: Final = 20_000  # Standard Webhooks: what is larger belongs behind a link
_LONGEST_MESSAGE: Final = 2_000
_CALLS: Final = uuid.UUID("6d1f2a57-0c6e-4d5c-9a55-3f0f6c2b8a11")  # the name space of their ids


class EventType(StrEnum):
    STARTED = "job.started"
    SUCCEEDED = "job.succeeded"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"
    DEAD = "job.dead"
    BATCH_ENDED = "batch.ended"


EVERY: Final = tuple(EventType)
OF_A_JOB: Final = tuple(each for each in EVERY if each is not EventType.BATCH_ENDED)
ENDS: Final = frozenset(OF_A_JOB) - {EventType.STARTED}


@dataclass(frozen=True, slots=True)
class Happened:
    type: EventType
    job: Job  # as it is from then on
    at: datetime


def event_type(before: State, after: State) -> EventType | None:
    """Of a move. A job starts once for each attempt."""
    match after:
        case State.SUCCEEDED:
            return EventType.SUCCEEDED
        case State.FAILED:
            return EventType.FAILED
        case State.CANCELLED:
            return EventType.CANCELLED
        case State.DEAD:
            return EventType.DEAD
        case State.RUNNING if before not in HELD:
            return EventType.STARTED
        case _:
            return None


def calls_for(happened: Happened, endpoints: Sequence[Endpoint]) -> Iterator[Call]:
    """One for each endpoint of the job's tenant that wants it, and one for whom the job names."""
    body = _body(happened)
    for endpoint in endpoints:
        if endpoint.disabled_at is None and _wants(endpoint.events, happened.type):
            yield _call(happened, body, endpoint.url, endpoint.id)
    named = happened.job.spec.webhook
    if named is not None and _wants(named.events, happened.type):
        yield _call(happened, body, named.url, None)


def calls_for_batch(batch: Batch, at: datetime, endpoints: Sequence[Endpoint]) -> Iterator[Call]:
    """That it is over: one for each endpoint of its tenant that asks for this by its name."""
    event = EventType.BATCH_ENDED
    data = {"type": event, "timestamp": at, "data": told_of_batch(batch)}
    body = msgspec.json.encode(data).decode()
    message = f"msg_{batch.id.replace('-', '')}_ended"
    for endpoint in endpoints:
        if endpoint.disabled_at is None and event in endpoint.events:
            yield Call(
                id=_call_id(message, endpoint.id),
                message=message,
                tenant=batch.tenant,
                endpoint=endpoint.id,
                url=endpoint.url,
                host=host_of(endpoint.url),
                job=JobId(batch.id),
                type=event,
                body=body,
                trace=batch.trace,
                next_at=at,
                created_at=at,
            )


def _wants(events: Sequence[str], event: EventType) -> bool:
    return event in (events or ENDS)


def _call(happened: Happened, body: str, url: str, endpoint: EndpointId | None) -> Call:
    message, job = message_id(happened), happened.job
    return Call(
        id=_call_id(message, endpoint),
        message=message,
        tenant=job.tenant,
        endpoint=endpoint,
        url=url,
        host=host_of(url),
        job=job.id,
        type=happened.type,
        body=body,
        trace=job.trace,
        next_at=happened.at,
        created_at=happened.at,
    )


def _call_id(message: str, endpoint: EndpointId | None) -> CallId:
    """Of its message and its receiver: who writes it down twice writes the same row."""
    return CallId(str(uuid.uuid5(_CALLS, f"{message} {endpoint or ''}")))


def message_id(happened: Happened) -> str:
    """A job ends once, and starts once for each attempt. The standard allows no full stop in it."""
    job, name = happened.job, happened.type.removeprefix("job.")
    attempt = f"_{job.attempt}" if happened.type is EventType.STARTED else ""
    return f"msg_{job.id.replace('-', '')}_{name}{attempt}"


def host_of(url: str) -> str:
    """Of one that was taken once, under whatever rules then held."""
    return url.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0].lower()


def _body(happened: Happened) -> str:
    data = told(happened.job)
    whole = _encoded(happened, data)
    if len(whole) <= MAX_BODY_BYTES:
        return whole.decode()
    error = data["error"]
    if error is not None:
        message = str(error.get("message", ""))[:_LONGEST_MESSAGE]
        error = {"kind": error.get("kind", "internal"), "message": message}
    return _encoded(happened, {**data, "result": None, "error": error, "left_out": True}).decode()


def _encoded(happened: Happened, data: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"type": happened.type, "timestamp": happened.at, "data": data})


def told(job: Job) -> dict[str, Any]:
    """As `GET /jobs/{id}` shows it, but for the input; a test holds the two together."""
    at = f"/jobs/{job.id}"
    links = ("status", "result", "events", "ws", "cancel", "retry", "timeline")
    left = job.checkpoint
    return {
        "id": job.id,
        "kind": job.spec.kind,
        "model": job.spec.model,
        "state": job.state,
        "attempt": job.attempt,
        "retry_of": job.retry_of,
        "progress": job.progress,
        "checkpoint": None if left is None else {"step": left.step, "at": left.at},
        "priority": job.spec.priority,
        "labels": job.spec.labels,
        "register_as": job.spec.register_as,
        "result": job.output,
        "error": job.error,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "trace_id": _trace_id(job.trace),
        "links": {"self": at, **{name: f"{at}/{name}" for name in links}},
    }


def told_of_batch(batch: Batch) -> dict[str, Any]:
    """As `GET /batches/{id}` shows one that is over; a test holds the two together."""
    at, tally = f"/batches/{batch.id}", batch.tally
    return {
        "id": batch.id,
        "kind": batch.kind,
        "model": batch.model,
        "state": batch.state,
        "total": batch.total,
        "counts": {
            "waiting": 0,
            "running": 0,
            "succeeded": tally.succeeded,
            "failed": tally.failed,
            "cancelled": tally.cancelled,
            "dead": tally.dead,
            "rejected": tally.rejected,
        },
        "progress": 1.0,
        "held_up": None,
        "seconds_left": None,
        "priority": batch.priority,
        "timeout": batch.timeout_s,
        "labels": batch.labels,
        "created_at": batch.created_at,
        "finished_at": batch.finished_at,
        "trace_id": _trace_id(batch.trace),
        "links": {
            "self": at,
            "results": f"{at}/results",
            "errors": f"{at}/results?errors=true",
            "events": f"{at}/events",
            "cancel": f"{at}/cancel",
        },
    }


def _trace_id(traceparent: str | None) -> str | None:
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) > 1 else None


def check_webhook(webhook: Webhook, reach: Reach, *, pointer: str = "") -> Webhook:
    """As it is. Raises BadWebhook, which says where it is wrong."""
    check_url(webhook.url, reach, pointer=f"{pointer}/url")
    check_events(webhook.events, pointer=f"{pointer}/events", known=OF_A_JOB)
    return webhook


def check_url(url: str, reach: Reach, *, pointer: str) -> None:
    try:
        target_of(url, reach)
    except Refusal as error:
        raise BadWebhook(pointer, str(error)) from error


def check_events(
    events: Sequence[str], *, pointer: str, known: Sequence[EventType] = EVERY
) -> None:
    unknown = sorted(set(events) - set(known))
    if unknown:
        raise BadWebhook(
            pointer, f"there is no event {unknown[0]}: choose among {', '.join(known)}"
        )


def owners(happened: Sequence[Happened]) -> list[TenantId]:
    return sorted({each.job.tenant for each in happened})
