"""Between the door's words and the core's: pure, both ways."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from headrace.api.auth import Caller
from headrace.api.dialects.native import schemas
from headrace.api.tracing import trace_id
from headrace.contracts.ids import JobId
from headrace.core.addresses import Reach
from headrace.core.errors import BadModel
from headrace.core.job import DISCONNECTED, Job, State, Webhook
from headrace.core.models import TRAINING, check_name
from headrace.core.ports.keys import Scope
from headrace.core.ports.store import AttemptRecord, IdempotencyKey, Query
from headrace.core.usecases.submit import Submission
from headrace.core.webhooks import check_url, check_webhook


def submission(
    asked: schemas.JobRequest,
    *,
    caller: Caller,
    key: IdempotencyKey | None,
    trace: str | None,
    reach: Reach,
) -> Submission:
    """Raises BadWebhook, BadModel, Refused."""
    return Submission(
        tenant=caller.tenant,
        kind=asked.kind,
        model=asked.model,
        input=asked.input,
        priority=asked.priority,
        run_at=asked.run_at,
        start_deadline=asked.start_deadline,
        timeout_s=asked.timeout,
        labels=asked.labels,
        cancel_after_s=_cancel_after(asked.on_disconnect),
        webhook=_webhook(asked.webhook, reach),
        sticky=asked.sticky,
        register_as=_register_as(asked, caller),
        idempotency=key,
        api_key=caller.api_key,
        trace=trace,
    )


def _register_as(asked: schemas.JobRequest, caller: Caller) -> str | None:
    if asked.register_as is None:
        return None
    if asked.kind != TRAINING:
        raise BadModel("/register_as", f"only a job of kind {TRAINING!r} makes a model")
    caller.must_have(Scope.MODELS)
    check_name(asked.register_as, "/register_as")
    return asked.register_as


def _webhook(asked: str | schemas.WebhookRequest | None, reach: Reach) -> Webhook | None:
    match asked:
        case None:
            return None
        case str():
            check_url(asked, reach, pointer="/webhook")
            return Webhook(asked)
        case schemas.WebhookRequest():
            return check_webhook(Webhook(asked.url, tuple(asked.events)), reach, pointer="/webhook")


def _cancel_after(asked: Literal["continue"] | schemas.CancelAfter) -> float | None:
    return None if asked == "continue" else asked.cancel_after


def _cancel_reason(job: Job) -> Literal["asked", "disconnected"] | None:
    if job.cancel_asked_at is None:
        return None
    return "disconnected" if job.cancel_reason == DISCONNECTED else "asked"


def query(asked: schemas.ListQuery) -> Query:
    """One row more than asked for tells whether there is a next page. Raises ValueError."""
    name, _, value = (asked.label or "").partition(":")
    return Query(
        state=asked.state,
        kind=asked.kind,
        model=asked.model,
        label=(name, value) if asked.label is not None else None,
        created_after=asked.created_after,
        created_before=asked.created_before,
        before=None if asked.cursor is None else read_cursor(asked.cursor),
        limit=asked.limit + 1,
    )


def page(jobs: Sequence[Job], *, limit: int) -> schemas.JobsPage:
    shown = jobs[:limit]
    more = len(jobs) > limit
    cursor = write_cursor(shown[-1].created_at, shown[-1].id) if more else None
    return schemas.JobsPage(jobs=[job_view(job) for job in shown], next=cursor)


def write_cursor(created_at: datetime | None, row: str) -> str:
    made = "" if created_at is None else created_at.astimezone(UTC).isoformat()
    return base64.urlsafe_b64encode(f"{made}|{row}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, JobId]:
    """Raises ValueError."""
    text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    made, _, job = text.decode().partition("|")
    when = datetime.fromisoformat(made)
    # Ours are in UTC. Others are not converted: at the calendar's edges that overflows.
    if when.utcoffset() != timedelta(0) or "\0" in job:
        raise ValueError("a cursor of ours has a time in UTC and an id")
    return when.replace(tzinfo=UTC), JobId(job)


def job_view(job: Job) -> schemas.JobView:
    return schemas.JobView(
        id=job.id,
        kind=job.spec.kind,
        model=job.spec.model,
        state=job.state,
        attempt=job.attempt,
        retry_of=job.retry_of,
        progress=job.progress,
        checkpoint=_checkpoint(job),
        priority=job.spec.priority,
        labels=job.spec.labels,
        register_as=job.spec.register_as,
        input=job.spec.input,
        result=job.output,
        error=error_view(job.error),
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        trace_id=None if job.trace is None else trace_id(job.trace),
        links=_links(job.id),
    )


def _checkpoint(job: Job) -> schemas.CheckpointView | None:
    left = job.checkpoint
    return None if left is None else schemas.CheckpointView(step=left.step, at=left.at)


def _links(job: JobId) -> schemas.Links:
    at = f"/jobs/{job}"
    return schemas.Links(
        self=at,
        status=f"{at}/status",
        result=f"{at}/result",
        events=f"{at}/events",
        ws=f"{at}/ws",
        cancel=f"{at}/cancel",
        retry=f"{at}/retry",
        timeline=f"{at}/timeline",
    )


def status_view(job: Job, *, ahead: int | None, now: datetime) -> schemas.StatusView:
    return schemas.StatusView(
        state=job.state,
        attempt=job.attempt,
        progress=job.progress,
        queue_position=ahead,
        eta_s=_eta(job, now),
    )


def one_status_view(job: Job, *, ahead: int | None, now: datetime) -> schemas.OneStatusView:
    return schemas.OneStatusView(
        **status_view(job, ahead=ahead, now=now).model_dump(),
        id=job.id,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )


def _eta(job: Job, now: datetime) -> float | None:
    """From the pace of the first attempt so far; an attempt after it has no start of its own here."""
    if job.state is not State.RUNNING or job.attempt != 1 or job.started_at is None:
        return None
    if job.progress is None or job.progress <= 0:
        return None
    so_far = (now - job.started_at).total_seconds()
    return round(max(0.0, so_far * (1 - job.progress) / job.progress), 1)


def result_view(job: Job) -> schemas.ResultView:
    return schemas.ResultView(state=job.state, result=job.output, error=error_view(job.error))


def timeline_view(
    job: Job, attempts: Sequence[AttemptRecord], *, traces: str | None = None
) -> schemas.TimelineView:
    """`traces` is the address of a trace, with {trace_id} in it."""
    trace = None if job.trace is None else trace_id(job.trace)
    return schemas.TimelineView(
        id=job.id,
        state=job.state,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        cancel_asked_at=job.cancel_asked_at,
        cancel_reason=_cancel_reason(job),
        cancel_s=_between(job.cancel_asked_at, job.finished_at),
        total_s=_between(job.created_at, job.finished_at),
        trace_id=trace,
        api_key=job.api_key,
        trace_url=traces.replace("{trace_id}", trace) if traces and trace else None,
        checkpoint=_checkpoint(job),
        attempts=attempt_views(job, attempts),
    )


def attempt_views(job: Job, attempts: Sequence[AttemptRecord]) -> list[schemas.AttemptView]:
    ready = [job.created_at, *(record.ended_at for record in attempts)]
    return [_attempt(record, since) for record, since in zip(attempts, ready, strict=False)]


def _attempt(record: AttemptRecord, ready_at: datetime | None) -> schemas.AttemptView:
    stages = record.stages
    return schemas.AttemptView(
        attempt=record.attempt,
        epoch=record.epoch,
        worker=record.worker,
        members=[*record.members],
        waited_s=_between(ready_at, record.started_at),
        started_at=record.started_at,
        ended_at=record.ended_at,
        outcome=record.outcome,
        error=error_view(record.error),
        stages=None if stages is None else schemas.StagesView(**msgspec.structs.asdict(stages)),
        resumed_step=record.resumed_step,
    )


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 3)


def error_view(error: Mapping[str, Any] | None) -> schemas.ErrorView | None:
    if error is None:
        return None
    return schemas.ErrorView.model_validate({"kind": "internal", "message": "", **error})
