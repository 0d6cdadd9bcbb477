"""How the lanes of a path stand. Nothing here costs more as the backlog grows beyond what is counted."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Integer, bindparam, func, select, text

from headrace.adapters.store.sql.expressions import clock, milliseconds
from headrace.adapters.store.sql.outbox import LANES_OF_WAITING, heads_of_tenants
from headrace.adapters.store.sql.schema import HELD, OFFERED, jobs, outbox
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.submitting import POINT_MS
from headrace.adapters.store.sql.types import Name
from headrace.contracts.ids import Lane
from headrace.core.ports.standing import LaneStanding

_path: Final = bindparam("path", type_=Name)
_lane: Final = bindparam("lane", type_=Name)
_held: Final = (
    select(jobs.c.lane, func.count().label("number"))
    .where(text(HELD), jobs.c.path == _path)
    .group_by(jobs.c.lane)
)
_offered: Final = (
    select(outbox.c.lane, func.count().label("number"))
    .where(
        outbox.c.path == _path,
        text(OFFERED),
        outbox.c.sent_at.is_not(None) | (outbox.c.reserved_until > clock()),
    )
    .group_by(outbox.c.lane)
)
_unsent: Final = (
    select(outbox.c.number)
    .where(outbox.c.path == _path, outbox.c.lane == _lane, outbox.c.sent_at.is_(None))
    .limit(bindparam("at_most", type_=Integer))
)
_waiting: Final = select(func.count()).select_from(_unsent.subquery())


def _oldest(heads: Any) -> Any:
    """The order in the outbox is when a job came less what its priority is worth: that is added again."""
    head = heads.subquery()
    came_ms = head.c.since + jobs.c.priority * POINT_MS
    return select((milliseconds(clock()) - func.min(came_ms)).label("age_ms")).select_from(
        head.join(jobs, jobs.c.number == head.c.number)
    )


_oldest_of: Final = tuple(
    _oldest(heads) for heads in heads_of_tenants(outbox.c.since, outbox.c.number)
)


async def standing(session: Session, path: str, at_most: int) -> list[LaneStanding]:
    held = await _by_lane(session, _held, path)
    offered = await _by_lane(session, _offered, path)
    behind = set((await session.run(LANES_OF_WAITING, path=path)).scalars().all())
    return [
        LaneStanding(
            lane=Lane(lane),
            waiting=await _count(session, path, lane, at_most) if lane in behind else 0,
            offered=offered.get(lane, 0),
            held=held.get(lane, 0),
            oldest_s=await _age_s(session, path, lane) if lane in behind else 0.0,
        )
        for lane in sorted({*held, *offered, *behind})
    ]


async def _by_lane(session: Session, counts: Any, path: str) -> dict[str, int]:
    return {row.lane: row.number for row in await session.run(counts, path=path)}


async def _count(session: Session, path: str, lane: str, at_most: int) -> int:
    counted = await session.run(_waiting, path=path, lane=lane, at_most=at_most)
    return int(counted.scalar_one())


async def _age_s(session: Session, path: str, lane: str) -> float:
    statement = _oldest_of[0] if session.postgresql else _oldest_of[1]
    age_ms = (await session.run(statement, path=path, lane=lane, each=1)).scalar_one()
    return max(0, age_ms or 0) / 1000
