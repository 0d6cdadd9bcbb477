"""Between the core's words and what operators read: pure, both ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec.structs import asdict

from headrace.api.addresses import job_id
from headrace.api.dialects.native import schemas_admin as schemas
from headrace.api.dialects.native.translate import job_view, read_cursor, write_cursor
from headrace.contracts.ids import Lane, TenantId, WorkerId
from headrace.core.job import Job, State
from headrace.core.ports.operations import Percentiles
from headrace.core.ports.queries import Cursor, Found, Search
from headrace.core.ports.store import WorkerRecord
from headrace.core.usecases.lanes import LaneStanding
from headrace.core.usecases.many import Outcome, Wish
from headrace.core.usecases.overview import Bucket, Overview, PathStanding
from headrace.core.usecases.workers import WorkerStanding


def search(asked: schemas.JobFilter, *, limit: int, cursor: str | None) -> Search:
    """Raises ValueError on a cursor that is none of ours."""
    name, _, value = (asked.label or "").partition(":")
    return Search(
        ids=None if asked.id is None else [job_id(asked.id)],
        tenant=None if asked.tenant is None else TenantId(asked.tenant),
        state=asked.state,
        kind=asked.kind,
        model=asked.model,
        path=asked.path,
        lane=None if asked.lane is None else Lane(asked.lane),
        label=(name, value) if asked.label is not None else None,
        error=asked.error,
        worker=None if asked.worker is None else WorkerId(asked.worker),
        created_after=asked.created_after,
        created_before=asked.created_before,
        before=None if cursor is None else read_cursor(cursor),
        limit=limit,
    )


def wish(asked: schemas.ManyRequest, *, who: str) -> Wish:
    """Raises ValueError on a cursor that is none of ours."""
    if asked.filter is None:
        ids = [job_id(each) for each in asked.ids or ()]
        return Wish(who=who, ids=ids, said={}, dry_run=asked.dry_run)
    found = search(asked.filter, limit=asked.limit, cursor=asked.cursor)
    return Wish(who=who, search=found, said=asked.filter.said(), dry_run=asked.dry_run)


def anybodys_job_view(job: Job) -> schemas.AnybodysJobView:
    return schemas.AnybodysJobView(
        **dict(job_view(job)),
        tenant=job.tenant,
        path=job.path,
        lane=job.lane,
        worker=job.worker,
    )


def anybodys_page(found: Found) -> schemas.AnybodysJobsPage:
    return schemas.AnybodysJobsPage(
        jobs=[anybodys_job_view(job) for job in found.jobs], next=_cursor(found.next)
    )


def _cursor(place: Cursor | None) -> str | None:
    return None if place is None else write_cursor(*place)


def many_view(outcome: Outcome) -> schemas.ManyView:
    return schemas.ManyView(
        matched=outcome.matched,
        done=outcome.done,
        more=outcome.next is not None,
        next=_cursor(outcome.next),
        refused=[schemas.RefusedView(id=each.job, why=each.why) for each in outcome.refused],
    )


def moved_view(job: Job, ahead: int) -> schemas.MovedView:
    return schemas.MovedView(
        id=job.id,
        tenant=job.tenant,
        lane=job.lane,
        priority=job.spec.priority,
        queue_position=ahead,
    )


def lane_view(lane: LaneStanding) -> schemas.LaneStandingView:
    return schemas.LaneStandingView.model_validate(lane, from_attributes=True)


def overview_view(seen: Overview) -> schemas.OverviewView:
    lanes = [lane_view(lane) for lane in seen.lanes]
    return schemas.OverviewView(
        at=seen.at,
        window_s=seen.window.total_seconds(),
        covers_s=round(seen.covers.total_seconds(), 3),
        bucket_s=seen.bucket.total_seconds(),
        per_s=round(seen.per_s, 3),
        ended=_ended(seen.ended),
        failure_rate=seen.failure_rate,
        wait_s=_percentiles(seen.wait),
        run_s=_percentiles(seen.run),
        dead_letters_open=seen.letters,
        lanes=lanes,
        workers=_fleet(seen.workers, busy=sum(lane.running for lane in lanes)),
        paths=[_path(path) for path in seen.paths],
        series=[_bucket(bucket) for bucket in seen.series],
    )


def _ended(ended: Counter[State]) -> schemas.EndedView:
    return schemas.EndedView(
        **{name: ended[State(name)] for name in schemas.EndedView.model_fields}
    )


def _percentiles(percentiles: Percentiles) -> schemas.PercentilesView:
    return schemas.PercentilesView(p50=percentiles.p50_s, p95=percentiles.p95_s)


def _fleet(workers: Sequence[WorkerRecord], *, busy: int) -> schemas.FleetView:
    slots = sum(sum(worker.slots.values()) for worker in workers)
    return schemas.FleetView(alive=len(workers), slots=slots, busy=busy)


def _path(path: PathStanding) -> schemas.PathLoadView:
    return schemas.PathLoadView(
        path=path.path,
        attended=path.attended,
        waiting=path.waiting,
        running=path.running,
        ended=path.ended,
        failed=path.failed,
        wait_p50_s=path.wait.p50_s,
        run_p50_s=path.run.p50_s,
    )


def _bucket(bucket: Bucket) -> schemas.BucketView:
    return schemas.BucketView(
        at=bucket.at,
        accepted=bucket.accepted,
        wait_p50_s=bucket.wait_p50_s,
        **dict(_ended(bucket.ended)),
    )


def worker_view(worker: WorkerStanding) -> schemas.WorkerView:
    member, vitals, judged = worker.member, worker.member.vitals, worker.judgement
    gpus = None if vitals is None else vitals.gpus
    models = None if vitals is None else vitals.models
    return schemas.WorkerView(
        id=member.id,
        path=member.path,
        state=judged.standing,
        seen_at=member.seen_at,
        drain_asked_at=member.drain_asked_at,
        slots={str(lane): slots for lane, slots in member.slots.items()},
        running=[
            schemas.RunningView.model_validate(each, from_attributes=True)
            for each in worker.running
        ],
        memory_bytes=None if vitals is None else vitals.memory_bytes,
        gpus=None if gpus is None else [schemas.GpuView(**asdict(gpu)) for gpu in gpus],
        models=None if models is None else [schemas.WarmModelView(**asdict(m)) for m in models],
        placed=(vitals.placed if vitals else None) or {},
        receives=judged.receives,
        why=judged.why,
    )
