"""The log of a job: what happened to it, and what its engines said."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from headrace.api.deps import Deps, Tenant
from headrace.api.dialects.native import documents
from headrace.api.dialects.native.arguments import JobInPath
from headrace.api.dialects.native.schemas_logs import JobLogView, LogLineView, LogQuery
from headrace.api.tracing import trace_id
from headrace.core.usecases.tell_log import JobLog, Line, tell_log

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs/{job}/logs", responses={200: {"model": JobLogView}, **documents.problems(404, 422)}
)
async def get_logs(
    deps: Deps, tenant: Tenant, job: JobInPath, asked: Annotated[LogQuery, Query()]
) -> JobLogView:
    """Its states and attempts with their errors, and the lines of its engines, in order."""
    return _view(await tell_log(deps.store, deps.streams, tenant, job, limit=asked.limit))


def _view(log: JobLog) -> JobLogView:
    job = log.job
    return JobLogView(
        id=job.id,
        state=job.state,
        trace_id=None if job.trace is None else trace_id(job.trace),
        lines=[_line(each) for each in log.lines],
        left_out=log.left_out,
        complete=log.complete,
    )


def _line(line: Line) -> LogLineView:
    return LogLineView(
        source=line.source,
        text=line.text,
        at=line.at,
        attempt=line.attempt,
        position=None if line.position is None else str(line.position),
    )
