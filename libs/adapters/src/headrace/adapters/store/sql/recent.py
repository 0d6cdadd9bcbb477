"""What came and went of late: counts in buckets of time, and percentiles of waiting and running.

Made of the latest so many jobs: where more came or ended than that, the figures are of a shorter
time, and say so. The database counts times of two digits (ranking each by itself took five times as
long), so a percentile is that of the nearest rank, to two digits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Row,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
    text,
    union_all,
)

from headrace.adapters.store.sql.expressions import milliseconds
from headrace.adapters.store.sql.schema import ENDED, jobs
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant
from headrace.core.job import State
from headrace.core.ports.operations import RECENT, Ended, Percentiles, Recent

_since: Final = bindparam("since", type_=Instant)
_start: Final = bindparam("start_ms", type_=BigInteger)
_size: Final = bindparam("bucket_ms", type_=BigInteger)
_most: Final = bindparam("most", type_=Integer)


def _bucket(at_ms: ColumnElement[int]) -> ColumnElement[int]:
    return cast((at_ms - _start) // _size, Integer)


def taken(start: ColumnElement[Any], end: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((jobs.c.started_at.is_not(None), milliseconds(end) - milliseconds(start)))


# A retry's time lies behind the first start; a planned one before it.
_planned: Final = and_(
    jobs.c.not_before > jobs.c.created_at, jobs.c.not_before <= jobs.c.started_at
)
READY: Final = case((_planned, jobs.c.not_before), else_=jobs.c.created_at)
_ended: Final = (
    select(
        milliseconds(jobs.c.finished_at).label("at_ms"),
        jobs.c.path,
        jobs.c.state,
        taken(READY, jobs.c.started_at).label("wait_ms"),
        taken(jobs.c.started_at, jobs.c.finished_at).label("run_ms"),
    )
    .where(text(ENDED), jobs.c.finished_at > _since, jobs.c.shadow_of.is_(None))
    .order_by(jobs.c.finished_at.desc())
    .limit(_most)
    .cte("ended")
)
_UNITS: Final = tuple(10**digits for digits in range(9))


def _two_digits(ms: ColumnElement[Any]) -> ColumnElement[Any]:
    return case(*((ms < 100 * unit, (ms + unit // 2) // unit * unit) for unit in _UNITS), else_=ms)


# In a step of its own: what is rounded is worked out once.
_rounded: Final = select(
    _ended.c.path,
    _ended.c.state,
    _ended.c.at_ms,
    _bucket(_ended.c.at_ms).label("bucket"),
    _two_digits(_ended.c.wait_ms).label("wait_ms"),
    _two_digits(_ended.c.run_ms).label("run_ms"),
).cte("rounded")
_many: Final = func.count().label("many")
_first: Final = func.min(_rounded.c.at_ms).label("first_ms")
_waits: Final = select(
    literal_column("'wait'", Text).label("what"),
    _rounded.c.bucket,
    _rounded.c.path,
    _rounded.c.state,
    _rounded.c.wait_ms.label("took_ms"),
    _many,
    _first,
).group_by(_rounded.c.bucket, _rounded.c.path, _rounded.c.state, _rounded.c.wait_ms)
_runs: Final = select(
    literal_column("'run'", Text),
    literal_column("0", Integer),
    _rounded.c.path,
    literal_column("''", Text),
    _rounded.c.run_ms,
    _many,
    _first,
).group_by(_rounded.c.path, _rounded.c.run_ms)
_both: Final = union_all(_waits, _runs)
_made: Final = (
    select(milliseconds(jobs.c.created_at).label("at_ms"))
    .where(jobs.c.created_at > _since, jobs.c.shadow_of.is_(None))
    .order_by(jobs.c.created_at.desc())
    .limit(_most)
    .subquery("made")
)
_made_in: Final = _bucket(_made.c.at_ms)
_accepted: Final = select(
    _made_in.label("bucket"), func.count().label("many"), func.min(_made.c.at_ms).label("first_ms")
).group_by(_made_in)


async def recent(session: Session, since: datetime, bucket: timedelta) -> Recent:
    span: dict[str, Any] = {
        "since": since,
        "start_ms": _in_ms(since),
        "bucket_ms": round(bucket.total_seconds() * 1000),
        "most": RECENT,
    }
    ended = (await session.run(_both, **span)).all()
    accepted = (await session.run(_accepted, **span)).all()
    waits = [row for row in ended if row.what == "wait"]
    runs = [row for row in ended if row.what == "run"]
    return Recent(
        since=max(since, *(_covered(rows, since) for rows in (waits, accepted))),
        accepted={row.bucket: row.many for row in accepted},
        ended=_ended_in(waits),
        wait=_percentiles(waits),
        run=_percentiles(runs),
        wait_on={path: _percentiles(rows) for path, rows in _by("path", waits).items()},
        run_on={path: _percentiles(rows) for path, rows in _by("path", runs).items()},
        wait_in={place: _percentiles(rows) for place, rows in _by("bucket", waits).items()},
    )


def _ended_in(rows: Sequence[Row[Any]]) -> list[Ended]:
    counts = Counter[tuple[int, str, str]]()
    for row in rows:
        counts[row.bucket, row.path, row.state] += row.many
    return [
        Ended(bucket=bucket, path=path, state=State(state), count=count)
        for (bucket, path, state), count in counts.items()
    ]


def _by(column: str, rows: Sequence[Row[Any]]) -> dict[Any, list[Row[Any]]]:
    found: dict[Any, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(getattr(row, column), []).append(row)
    return found


def _percentiles(rows: Sequence[Row[Any]]) -> Percentiles:
    """Of those that started."""
    counts = Counter[int]()
    for row in rows:
        if row.took_ms is not None:
            counts[max(0, row.took_ms)] += row.many
    return Percentiles(_nearest(counts, 50), _nearest(counts, 95))


def _nearest(counts: Counter[int], percent: int) -> float | None:
    rank, passed = -(-counts.total() * percent // 100), 0
    for took_ms in sorted(counts):
        passed += counts[took_ms]
        if passed >= rank:
            return took_ms / 1000
    return None


def _covered(rows: Sequence[Row[Any]], since: datetime) -> datetime:
    """From when on nothing is left out."""
    if sum(row.many for row in rows) < RECENT:
        return since
    first_ms = min(row.first_ms for row in rows)
    return since + timedelta(milliseconds=first_ms - _in_ms(since))


def _in_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
