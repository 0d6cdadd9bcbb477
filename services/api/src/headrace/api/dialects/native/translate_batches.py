"""Between the door's words and a batch's: pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from headrace.api.dialects.native import schemas_batches as schemas
from headrace.api.dialects.native.translate import error_view, write_cursor
from headrace.api.tracing import trace_id
from headrace.contracts.ids import BatchId
from headrace.core.batch import Ended
from headrace.core.ports.batches import Look


def page(looks: Sequence[Look], *, limit: int) -> schemas.BatchesPage:
    shown = looks[:limit]
    last = shown[-1].batch if len(looks) > limit else None
    cursor = None if last is None else write_cursor(last.created_at, last.id)
    return schemas.BatchesPage(batches=[batch_view(look, None) for look in shown], next=cursor)


def batch_view(look: Look, left: timedelta | None) -> schemas.BatchView:
    batch = look.batch
    return schemas.BatchView(
        id=batch.id,
        kind=batch.kind,
        model=batch.model,
        state=batch.state,
        total=batch.total,
        counts=counts(look),
        progress=round(batch.tally.ended / batch.total, 4),
        held_up=batch.held_up,
        seconds_left=None if left is None else round(left.total_seconds(), 1),
        priority=batch.priority,
        timeout=batch.timeout_s,
        labels=batch.labels,
        created_at=batch.created_at,
        finished_at=batch.finished_at,
        trace_id=None if batch.trace is None else trace_id(batch.trace),
        links=_links(batch.id),
    )


def counts(look: Look) -> schemas.BatchCounts:
    batch, tally = look.batch, look.batch.tally
    return schemas.BatchCounts(
        waiting=batch.total - tally.ended - look.running,
        running=look.running,
        succeeded=tally.succeeded,
        failed=tally.failed,
        cancelled=tally.cancelled,
        dead=tally.dead,
        rejected=tally.rejected,
    )


def result(ended: Ended) -> schemas.BatchResult:
    return schemas.BatchResult(
        item=ended.place,
        custom_id=ended.custom_id,
        state=ended.state,
        job=ended.job,
        model=ended.model,
        result=ended.output,
        error=error_view(ended.error),
        ended_at=ended.ended_at,
        cursor=ended.number,
    )


def _links(batch: BatchId) -> schemas.BatchLinks:
    at = f"/batches/{batch}"
    return schemas.BatchLinks(
        self=at,
        results=f"{at}/results",
        errors=f"{at}/results?errors=true",
        events=f"{at}/events",
        cancel=f"{at}/cancel",
    )
