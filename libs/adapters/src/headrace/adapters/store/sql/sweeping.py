"""What fell due: jobs whose time, lease, deadline or wish has come, oldest first."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Integer, Select, bindparam, select, text

from headrace.adapters.store.sql.expressions import clock
from headrace.adapters.store.sql.rows import to_job
from headrace.adapters.store.sql.schema import (
    CANCEL_WISHED,
    HELD,
    SCHEDULED,
    STARTS_IN_TIME,
    jobs,
)
from headrace.adapters.store.sql.session import Session
from headrace.core.job import Job


def _since(condition: str, column: str) -> Select[Any]:
    """Rows that somebody else is looking at are left to them."""
    since = jobs.c[column]
    return (
        select(jobs)
        .where(text(condition), jobs.c.path == bindparam("path"), since <= clock())
        .order_by(since)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True)
    )


DUE: Final = _since(SCHEDULED, "not_before")
EXPIRED_LEASES: Final = _since(HELD, "lease_until")
EXPIRED_STARTS: Final = _since(f"{STARTS_IN_TIME} AND started_at IS NULL", "start_deadline")
CANCEL_WISHES: Final = _since(CANCEL_WISHED, "cancel_asked_at")


async def to_do(session: Session, question: Select[Any], path: str, limit: int) -> list[Job]:
    return [to_job(row) for row in await session.run(question, path=path, limit=limit)]
