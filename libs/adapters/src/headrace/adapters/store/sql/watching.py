"""Until when somebody watches a job, and the wish to cancel what nobody watches any longer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Integer, and_, bindparam, or_, select, text, update

from headrace.adapters.store.sql.expressions import batch, clock
from headrace.adapters.store.sql.schema import WATCHED, jobs
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import written
from headrace.contracts.ids import JobId
from headrace.core.job import DISCONNECTED

_told: Final = batch(id=jobs.c.id.type, until=jobs.c.watched_until.type)
_later: Final = (
    select(jobs.c.number, _told.c.until)
    .join(
        _told,
        and_(
            jobs.c.id == _told.c.id,
            or_(jobs.c.watched_until.is_(None), jobs.c.watched_until < _told.c.until),
        ),
    )
    .order_by(jobs.c.id)
    .with_for_update(of=jobs)
    .cte("later")
)
_see: Final = (
    update(jobs).where(jobs.c.number == _later.c.number).values(watched_until=_later.c.until)
)
_deserted: Final = (
    select(jobs.c.number)
    .where(text(WATCHED), jobs.c.path == bindparam("of_path"), jobs.c.watched_until <= clock())
    .order_by(jobs.c.watched_until)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
    .cte("deserted")  # as IN (...) PostgreSQL may ask it more than once, past its limit
)
_wish: Final = (
    update(jobs)
    .where(jobs.c.number == _deserted.c.number, jobs.c.cancel_asked_at.is_(None))
    .values(cancel_asked_at=clock(), cancel_reason=DISCONNECTED)
    .returning(jobs.c.id)
)


async def see_watched(session: Session, until: Mapping[JobId, datetime]) -> None:
    rows: list[dict[str, Any]] = [
        {"id": job, "until": written(when)} for job, when in sorted(until.items())
    ]
    if rows:
        await session.run_batch(_see, rows)


async def wish_deserted(session: Session, path: str, limit: int) -> list[JobId]:
    wished = [JobId(row.id) for row in await session.run(_wish, of_path=path, limit=limit)]
    session.stirred |= bool(wished)
    return wished
