"""Items of batches: begun with their jobs, numbered as they end, and read in that order."""

from __future__ import annotations

from collections import Counter
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
_ends: Final = rows_of(batch=Name, place=Integer, state=Name, number=Integer)
_end: Final = (
    update(batch_items)
    .where(
        batch_items.c.batch == _ends.c.batch,
        batch_items.c.place == _ends.c.place,
        batch_items.c.number.is_(None),
    )
    .values(state=_ends.c.state, number=_ends.c.number, ended_at=clock())
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


async def end(session: Session, ends: Sequence[ItemEnd]) -> None:
    """Batch by batch, by id: two who end jobs of the same ones do not wait in a ring."""
    rows: list[dict[str, Any]] = []
    for batch in sorted({each.batch for each in ends}):
        mine = [each for each in ends if each.batch == batch]
        numbers = await _numbers(session, batch, mine)
        rows += [
            {"batch": batch, "place": each.place, "state": each.state, "number": number}
            for each in mine
            if (number := numbers.get(each.place)) is not None
        ]
    if rows:
        await session.run_batch(_end, rows)


async def _numbers(
    session: Session, batch: BatchId, ended: Sequence[ItemEnd | NewItem]
) -> dict[int, int]:
    """By place: those behind the last one, whose holder nobody else is until this is committed."""
    last = await whole.count(session, batch, Counter(each.state.value for each in ended))
    if last is None:
        return {}
    first = last - len(ended) + 1
    return {each.place: first + nth for nth, each in enumerate(ended)}


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
