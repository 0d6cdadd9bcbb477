"""Who attends to which path: a row each, with the time until which its dispatchers vouch for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, and_, bindparam, case, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import clock
from headrace.adapters.store.sql.schema import HELD, SCHEDULED, SENT, UNSENT, jobs, outbox, paths
from headrace.adapters.store.sql.schema_around import (
    ACTIVE,
    BEGINNING,
    PLANNED,
    dead_letters,
    schedules,
)
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name

_path: Final = bindparam("path", type_=Name)
_insert: Final = insert(paths).values(name=_path, attended_until=bindparam("until", type_=Instant))
_later: Final = _insert.excluded.attended_until
_attend: Final = _insert.on_conflict_do_update(
    index_elements=[paths.c.name],
    # Of dispatchers with different leases, the longest promise counts.
    set_={
        "attended_until": case(
            (_later > paths.c.attended_until, _later), else_=paths.c.attended_until
        )
    },
)


async def attend(session: Session, path: str, until: datetime) -> None:
    await session.run(_attend, path=path, until=until)


def _any_on_path(column: Column[Any], condition: str) -> ColumnElement[bool]:
    """One probe of the partial index on (path, column).

    In its order, and not as EXISTS, which forgets the order: on a store whose rows are all on the other
    path, PostgreSQL would expect to meet one at once, and read the table from end to end instead.
    """
    table = column.table
    first = select(table.c.path).where(text(condition), table.c.path == _path)
    return first.order_by(column).limit(1).scalar_subquery().is_not(None)


_attended: Final = (
    select(paths.c.name).where(paths.c.name == _path, paths.c.attended_until > clock()).exists()
)
_something_waits: Final = or_(
    _any_on_path(outbox.c.lane, UNSENT),
    _any_on_path(outbox.c.sent_at, SENT),
    _any_on_path(jobs.c.not_before, SCHEDULED),
    _any_on_path(jobs.c.lease_until, HELD),
    _any_on_path(schedules.c.next_at, ACTIVE),
    _any_on_path(schedules.c.run_next_at, BEGINNING),
    _any_on_path(dead_letters.c.replay_at, PLANNED),
)
_deserted: Final = select(and_(~_attended, _something_waits))


async def deserted(session: Session, path: str) -> bool:
    return bool((await session.run(_deserted, path=path)).scalar_one())
