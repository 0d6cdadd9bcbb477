"""What a tenant may ask about its own jobs."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import FromClause, Select, bindparam, literal, select, tuple_

from headrace.adapters.store.sql.expressions import has_label
from headrace.adapters.store.sql.rows import to_job
from headrace.adapters.store.sql.schema import jobs
from headrace.adapters.store.sql.session import Session, refuse_nul
from headrace.adapters.store.sql.types import Instant, Name
from headrace.contracts.ids import JobId, TenantId
from headrace.core.job import Job
from headrace.core.ports.store import Query

_find: Final = select(jobs).where(
    jobs.c.id == bindparam("job"), jobs.c.tenant == bindparam("tenant")
)


async def find(session: Session, tenant: TenantId, job: JobId) -> Job | None:
    if "\0" in job or "\0" in tenant:
        return None
    row = (await session.run(_find, job=job, tenant=tenant)).one_or_none()
    return None if row is None else to_job(row)


async def page(session: Session, tenant: TenantId, query: Query) -> list[Job]:
    refuse_nul([query.kind, query.model, query.label, query.ids, query.conversation])
    newest_first = (jobs.c.created_at.desc(), jobs.c.id.desc())
    wanted = _narrowed(select(jobs).where(jobs.c.tenant == tenant), query)
    rows = await session.run(wanted.order_by(*newest_first).limit(query.limit))
    return [to_job(row) for row in rows]


def _narrowed(wanted: Select[Any], query: Query) -> Select[Any]:
    if query.ids is not None:
        wanted = wanted.where(jobs.c.id.in_(query.ids))
    if query.conversation is not None:
        wanted = wanted.where(jobs.c.conversation == query.conversation)
    if query.state is not None:
        wanted = wanted.where(jobs.c.state == query.state)
    if query.kind is not None:
        wanted = wanted.where(jobs.c.kind == query.kind)
    if query.model is not None:
        wanted = wanted.where(jobs.c.model == query.model)
    if query.label is not None:
        wanted = wanted.where(has_label(jobs.c.labels, *(literal(each) for each in query.label)))
    return between(wanted, query)


def between(wanted: Select[Any], query: Query, rows: FromClause = jobs) -> Select[Any]:
    """Of these rows of jobs, those made in a span of time, and older than a page's last."""
    if query.created_after is not None:
        wanted = wanted.where(rows.c.created_at > query.created_after)
    if query.created_before is not None:
        wanted = wanted.where(rows.c.created_at < query.created_before)
    if query.before is not None:
        created_at, job = query.before
        older = tuple_(literal(created_at, Instant), literal(job, Name))
        wanted = wanted.where(tuple_(rows.c.created_at, rows.c.id) < older)
    return wanted
