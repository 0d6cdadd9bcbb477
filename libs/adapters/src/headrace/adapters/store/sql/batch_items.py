"""Items of batches: begun with their jobs, numbered as they end, and read in that order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Integer, Row, Select, bindparam, case, func, null, select, true, update
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql import batches as whole
from headrace.adapters.store.sql.expressions import batch as rows_of
from headrace.adapters.store.sql.expressions import clock, literally
from headrace.adapters.store.sql.schema import jobs
from headrace.adapters.store.sql.schema_batches import batch_items, batches
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Name
from headrace.contracts.ids import BatchId, JobId
from headrace.core.batch import WRONG, Batch, Ended, ItemEnd, ItemState, NewItem, Pace
from headrace.core.job import TERMINAL

_OF_LATE: Final = 200  # ends, for the pace

_of_item: Final = ("batch", "place", "custom_id", "job", "state", "error", "number")
_new: Final = rows_of(**{name: batch_items.c[name].type for name in _of_item})
_insert: Final = insert(batch_items).from_select(
    [*_of_item, "ended_at"],
    select(
        *(_new.c[name] for name in _of_item),
        case((_new.c.number.is_not(None), clock()), else_=null()),
    ).where(true()),
)
_ends: Final = rows_of(place=Integer, state=Name, nth=Integer)
# Open, said so that the index of open items does not fit: by that, each end would walk all of its batch's.
# Numbers begin at 1.
_open: Final = update(batch_items).where(
    batch_items.c.place == _ends.c.place, func.coalesce(batch_items.c.number, 0) == 0
)
# PostgreSQL does both at once; SQLite, which is a function call away, one after the other.
_counted: Final = whole.COUNT.cte("counted")
_ended_there: Final = (
    _open.where(batch_items.c.batch == _counted.c.batch)
    .values(
        state=_ends.c.state,
        number=_counted.c.last - bindparam("more", type_=Integer) + _ends.c.nth,
        ended_at=clock(),
    )
    .cte("ended")
)
_count_and_end: Final = select(_counted).add_cte(_ended_there)
_end: Final = _open.where(
    batch_items.c.batch == bindparam("of", type_=Name),
    batch_items.c.place.in_(select(_ends.c.place)),  # else SQLite walks all that the batch has
).values(
    state=_ends.c.state,
    number=bindparam("from_number", type_=Integer) + _ends.c.nth,
    ended_at=clock(),
)


async def begin(session: Session, before: Batch, after: Batch, items: Sequence[NewItem]) -> bool:
    if not await whole.advance(session, before, after):
        return False
    over = [item for item in items if item.state is not ItemState.OPEN]
    numbers = await _numbers(session, before.id, over) if over else {}
    rows = [{**_row(before.id, item), "number": numbers.get(item.place)} for item in items]
    if rows:
        await session.run_batch(_insert, rows)
    return True


async def _numbers(session: Session, batch: BatchId, over: Sequence[NewItem]) -> dict[int, int]:
    """By place: those behind the last one."""
    counted = (await session.run(whole.COUNT, **whole.more(batch, _states(over)))).one()
    await whole.finish_if_over(session, counted)
    first = counted.last - len(over) + 1
    return {item.place: first + nth for nth, item in enumerate(over)}


async def end(session: Session, ends: Sequence[ItemEnd]) -> None:
    """Batch by batch, by id: two who end jobs of the same ones do not wait in a ring."""
    for batch in sorted({each.batch for each in ends}):
        await _end_of(session, batch, [each for each in ends if each.batch == batch])


async def _end_of(session: Session, batch: BatchId, ends: Sequence[ItemEnd]) -> None:
    rows = [
        {"place": each.place, "state": each.state, "nth": nth}
        for nth, each in enumerate(ends, start=1)
    ]
    more = whole.more(batch, _states(ends))
    if session.postgresql:
        counted = (await session.run_batch(_count_and_end, rows, **more)).one_or_none()
    else:
        counted = (await session.run(whole.COUNT, **more)).one_or_none()
        if counted is not None:
            before = counted.last - len(ends)
            await session.run_batch(_end, rows, of=batch, from_number=before)
    if counted is not None:  # else it went before its jobs ended
        await whole.finish_if_over(session, counted)


def _states(ended: Sequence[ItemEnd | NewItem]) -> list[ItemState]:
    return [each.state for each in ended]


def _row(batch: BatchId, item: NewItem) -> dict[str, Any]:
    same = {name: getattr(item, name) for name in ("place", "custom_id", "job", "state", "error")}
    return {**same, "batch": batch}


_behind: Final = (
    select(batch_items, jobs.c.model, jobs.c.output, jobs.c.error.label("of_job"))
    .outerjoin(jobs, jobs.c.id == batch_items.c.job)
    .where(
        batch_items.c.number.is_not(None),
        batch_items.c.batch == bindparam("batch", type_=Name),
        batch_items.c.number > bindparam("after", type_=Integer),
    )
    .order_by(batch_items.c.number)
    .limit(bindparam("limit", type_=Integer))
)
_wrong_behind: Final[Select[Any]] = _behind.where(batch_items.c.state.in_(sorted(WRONG)))


async def ended(
    session: Session, batch: BatchId, *, after: int, limit: int, wrong: bool
) -> list[Ended]:
    wanted = _wrong_behind if wrong else _behind
    return [
        _to_ended(row) for row in await session.run(wanted, batch=batch, after=after, limit=limit)
    ]


_latest: Final = (
    select(batch_items.c.ended_at)
    .where(
        batch_items.c.number.is_not(None),
        batch_items.c.batch == bindparam("batch", type_=Name),
        batch_items.c.state != ItemState.REJECTED,
    )
    .order_by(batch_items.c.number.desc())
    .limit(_OF_LATE)
    .subquery("latest")
)
_pace: Final = select(func.count().label("ends"), func.min(_latest.c.ended_at).label("since"))


async def pace(session: Session, batch: BatchId) -> Pace | None:
    row = (await session.run(_pace, batch=batch)).one()
    return Pace(row.ends, row.since) if row.ends else None


_to_stop: Final = (
    select(jobs.c.id)
    .select_from(batches)
    .join(batch_items, batch_items.c.batch == batches.c.id)
    .join(jobs, jobs.c.id == batch_items.c.job)
    .where(
        batches.c.path == bindparam("side", type_=Name),
        batches.c.cancel_asked_at.is_not(None),
        batches.c.finished_at.is_(None),
        batch_items.c.number.is_(None),
        jobs.c.cancel_asked_at.is_(None),
        jobs.c.state.not_in([literally(state) for state in sorted(TERMINAL)]),
    )
    .order_by(jobs.c.id)
    .limit(bindparam("limit", type_=Integer))
)


async def to_stop(session: Session, path: str, limit: int) -> list[JobId]:
    found = await session.run(_to_stop, side=path, limit=limit)
    return [JobId(job) for job in found.scalars()]


def _to_ended(row: Row[Any]) -> Ended:
    return Ended(
        number=row.number,
        place=row.place,
        custom_id=row.custom_id,
        state=ItemState(row.state),
        job=None if row.job is None else JobId(row.job),
        model=row.model,
        output=row.output,
        error=row.error if row.job is None else row.of_job,
        ended_at=row.ended_at,
    )
