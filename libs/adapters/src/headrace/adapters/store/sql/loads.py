"""What waits and runs in each lane, how old the oldest is, and who attends to which path; all bounded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    and_,
    case,
    func,
    literal_column,
    select,
    text,
)

from headrace.adapters.store.sql.expressions import batch, clock
from headrace.adapters.store.sql.outbox import lanes_with_offers, lanes_with_waiting, loosely
from headrace.adapters.store.sql.schema import (
    HELD,
    OFFERED,
    QUEUED,
    UNSENT,
    jobs,
    outbox,
    paths,
)
from headrace.adapters.store.sql.schema_around import OPEN, dead_letters
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Name
from headrace.contracts.ids import Lane
from headrace.core.ports.operations import (
    COUNTED,
    LaneLoad,
    Loads,
)

_counted: Final = literal_column(str(COUNTED), Integer)
_one: Final = literal_column("1", Integer)

_places: Final = batch(path=Name, lane=Name)
_there: Final = (outbox.c.path == _places.c.path, outbox.c.lane == _places.c.lane)
_unsent: Final = (
    select(_one.label("one"))
    .where(text(UNSENT), *_there)
    .order_by(outbox.c.tenant)  # as its index is, so that nothing else is read to count them
    .limit(_counted)
    .correlate(_places)
    .subquery("unsent")
)
_reserved: Final = and_(outbox.c.sent_at.is_(None), outbox.c.reserved_until > clock())


def _offers(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    """An offer that is on its way is reserved; so few lie in a lane that they are counted as they are."""
    offers = select(func.count()).select_from(outbox).where(text(OFFERED), *_there, *conditions)
    return offers.correlate(_places).scalar_subquery()


_waiting: Final = select(
    _places.c.path,
    _places.c.lane,
    select(func.count()).select_from(_unsent).correlate(_places).scalar_subquery().label("unsent"),
    _offers(_reserved).label("reserved"),
    _offers(outbox.c.sent_at.is_not(None)).label("sent"),
)
_running: Final = (
    select(jobs.c.lane, jobs.c.path, func.count().label("running"))
    .where(text(HELD))
    .group_by(jobs.c.lane, jobs.c.path)
)
_lanes: Final = batch(lane=Name)


def _oldest(column: Any, condition: ColumnElement[bool]) -> ColumnElement[Any]:
    first = select(column).where(text(QUEUED), jobs.c.lane == _lanes.c.lane, condition)
    in_order = first.order_by(jobs.c.not_before, jobs.c.created_at).limit(1)
    return in_order.correlate(_lanes).scalar_subquery()


_since: Final = select(
    _lanes.c.lane,
    _oldest(jobs.c.created_at, jobs.c.not_before.is_(None)).label("unplanned"),
    _oldest(jobs.c.not_before, jobs.c.not_before.is_not(None)).label("planned"),
)
_letters: Final = select(func.count()).select_from(
    select(_one.label("one"))
    .select_from(dead_letters)
    .where(text(OPEN))
    .limit(_counted)
    .subquery("open_letters")
)
_attended: Final = select(
    paths.c.name, case((paths.c.attended_until > clock(), 1), else_=0).label("now")
)
_paths: Final = select(loosely(outbox.c.path, "on_paths", text(UNSENT)).c.value)


async def loads(session: Session, lanes: Sequence[Lane]) -> Loads:
    attended = {row.name: bool(row.now) for row in await session.run(_attended)}
    waited = {each for each in (await session.run(_paths)).scalars() if each is not None}
    attended = dict.fromkeys(waited, False) | attended
    places = {(path, lane) for path in attended for lane in await _lanes_on(session, path)}
    counts = {(row.path, row.lane): row for row in await _counts(session, places)}
    running = {(row.path, row.lane): row.running for row in await session.run(_running)}
    found = [
        LaneLoad(
            lane=Lane(lane),
            path=path,
            waiting=_at_least_none(counts.get((path, lane))),
            offered=_offered(counts.get((path, lane))),
            running=running.get((path, lane), 0),
        )
        for path, lane in sorted(places | running.keys())
    ]
    oldest = await _oldest_of(session, {*lanes, *(each.lane for each in found)})
    letters = int((await session.run(_letters)).scalar_one())
    return Loads(found, oldest, letters, attended)


async def _lanes_on(session: Session, path: str) -> list[str]:
    waiting = (await session.run(lanes_with_waiting, path=path)).scalars().all()
    offered = (await session.run(lanes_with_offers, path=path)).scalars().all()
    return [lane for lane in (*waiting, *offered) if lane is not None]


async def _counts(session: Session, places: set[tuple[str, str]]) -> Sequence[Any]:
    if not places:
        return []
    rows = [{"path": path, "lane": lane} for path, lane in sorted(places)]
    return (await session.run_batch(_waiting, rows)).all()


def _at_least_none(row: Any) -> int:
    return 0 if row is None else max(0, row.unsent - row.reserved)


def _offered(row: Any) -> int:
    return 0 if row is None else int(row.sent + row.reserved)


async def _oldest_of(session: Session, lanes: set[Lane]) -> dict[Lane, datetime]:
    if not lanes:
        return {}
    rows = await session.run_batch(_since, [{"lane": lane} for lane in sorted(lanes)])
    ages = {Lane(row.lane): [row.unplanned, row.planned] for row in rows}
    return {lane: min(filter(None, both)) for lane, both in ages.items() if any(both)}
