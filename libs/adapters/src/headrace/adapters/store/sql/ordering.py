"""A job's place among those of its tenant that wait in its lane, as an operator wants it."""

from __future__ import annotations

from typing import Final, Literal

from sqlalchemy import ColumnElement, Integer, bindparam, func, literal_column, or_, select, update

from headrace.adapters.store.sql.expressions import clock
from headrace.adapters.store.sql.schema import jobs, outbox
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.submitting import POINT_MS
from headrace.adapters.store.sql.types import Name
from headrace.contracts.ids import JobId

_job: Final = bindparam("moved", type_=Name)
_priority: Final = bindparam("to", type_=Integer)
_mine: Final = (
    outbox.c.job == _job,
    outbox.c.sent_at.is_(None),
    or_(outbox.c.reserved_until.is_(None), outbox.c.reserved_until <= clock()),
)


def _beyond(ends: ColumnElement[int]) -> ColumnElement[int]:
    """Of the queue it stands in, by its own index."""
    others, own = outbox.alias("others"), outbox.alias("own")
    found = func.min if ends is _FIRST else func.max
    whose = select(own.c.path, own.c.lane, own.c.tenant).where(own.c.job == _job).subquery("whose")
    edge = select(found(others.c.since)).where(
        others.c.sent_at.is_(None),
        others.c.path == select(whose.c.path).scalar_subquery(),
        others.c.lane == select(whose.c.lane).scalar_subquery(),
        others.c.tenant == select(whose.c.tenant).scalar_subquery(),
    )
    return edge.scalar_subquery() + ends


_FIRST: Final[ColumnElement[int]] = literal_column("-1", Integer)
_LAST: Final[ColumnElement[int]] = literal_column("1", Integer)
_to_front: Final = update(outbox).where(*_mine).values(since=_beyond(_FIRST))
_to_back: Final = update(outbox).where(*_mine).values(since=_beyond(_LAST))
_by: Final = (_priority - select(jobs.c.priority).where(jobs.c.id == _job).scalar_subquery()) * (
    literal_column(str(POINT_MS), Integer)
)
_shift: Final = update(outbox).where(outbox.c.job == _job).values(since=outbox.c.since - _by)
_set: Final = update(jobs).where(jobs.c.id == _job).values(priority=_priority)


async def place(session: Session, job: JobId, where: Literal["front", "back"]) -> bool:
    statement = _to_front if where == "front" else _to_back
    moved = await session.run(statement.returning(outbox.c.job), moved=job)
    session.stirred = True
    return moved.one_or_none() is not None


async def reprioritise(session: Session, job: JobId, priority: int) -> None:
    """What it waits by first: it is reckoned from the priority that it has."""
    await session.run(_shift, moved=job, to=priority)
    await session.run(_set, moved=job, to=priority)
    session.stirred = True
