"""Jobs that a producer outside works on: those that wait have a row in the outbox, those that run no lease."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Integer, bindparam, literal_column, select, text, union_all

from headrace.adapters.store.sql.rows import to_job
from headrace.adapters.store.sql.schema import HELD, SENT, UNSENT, jobs, outbox
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Name
from headrace.contracts.ids import JobId
from headrace.contracts.producing import OUTSIDE
from headrace.core.job import Job

_path: Final = bindparam("path", type_=Name)
_lane: Final = literal_column(f"'{OUTSIDE}'", Name)
_queued: Final = select(outbox.c.job).where(outbox.c.path == _path, outbox.c.lane == _lane)
_waiting: Final = _queued.where(text(UNSENT))
_offered: Final = _queued.where(text(SENT))  # by a build that knew of no producers
_running: Final = select(jobs.c.id).where(
    jobs.c.path == _path, jobs.c.lane == _lane, jobs.c.lease_until.is_(None), text(HELD)
)
_outside: Final = (
    select(jobs)
    .where(
        jobs.c.id.in_(union_all(_waiting, _offered, _running)),
        jobs.c.id > bindparam("after", type_=Name),
    )
    .order_by(jobs.c.id)
    .limit(bindparam("limit", type_=Integer))
)


async def outside(session: Session, path: str, after: JobId, limit: int) -> list[Job]:
    rows = await session.run(_outside, path=path, after=after, limit=limit)
    return [to_job(row) for row in rows]
