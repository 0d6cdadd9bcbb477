"""What came and went of late: counts in buckets of time, and percentiles of waiting and running.

Made of the latest so many jobs: where more came or ended than that, the figures are of a shorter
time, and say so. A percentile is the nearest rank, so it is a time that some job did take.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Row,
    Select,
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


def _taken(start: ColumnElement[Any], end: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((jobs.c.started_at.is_not(None), milliseconds(end) - milliseconds(start)))


# A retry's time lies behind the first start; a planned one before it.
_planned: Final = and_(
    jobs.c.not_before > jobs.c.created_at, jobs.c.not_before <= jobs.c.started_at
)
_ready: Final = case((_planned, jobs.c.not_before), else_=jobs.c.created_at)
_ended: Final = (
    select(
        milliseconds(jobs.c.finished_at).label("at_ms"),
        jobs.c.path,
        jobs.c.state,
        _taken(_ready, jobs.c.started_at).label("wait_ms"),
        _taken(jobs.c.started_at, jobs.c.finished_at).label("run_ms"),
    )
    .where(text(ENDED), jobs.c.finished_at > _since)
    .order_by(jobs.c.finished_at.desc())
    .limit(_most)
    .cte("ended")
)
_in_bucket: Final = _bucket(_ended.c.at_ms)
_counts: Final = select(
    _in_bucket.label("bucket"),
    _ended.c.path,
    _ended.c.state,
    func.count().label("many"),
    func.min(_ended.c.at_ms).label("first_ms"),
).group_by(_in_bucket, _ended.c.path, _ended.c.state)


def _ranks(what: str, took: ColumnElement[Any], key: ColumnElement[Any]) -> Select[Any]:
    ordered = (
        select(
            cast(key, Text).label("key"),
            took.label("took"),
            func.row_number().over(partition_by=key, order_by=took).label("rank"),
            func.count().over(partition_by=key).label("many"),
        )
        .where(took.is_not(None))
        .subquery()
    )

    def nearest(percent: int) -> ColumnElement[Any]:
        rank = (ordered.c.many * percent + 99) // 100
        return func.max(case((ordered.c.rank == rank, ordered.c.took)))

    return select(
        literal_column(f"'{what}'", Text).label("what"),
        ordered.c.key,
        nearest(50).label("p50"),
        nearest(95).label("p95"),
    ).group_by(ordered.c.key)


_all: Final = literal_column("''", Text)
_percentiles: Final = union_all(
    _ranks("wait", _ended.c.wait_ms, _all),
    _ranks("run", _ended.c.run_ms, _all),
    _ranks("wait_on", _ended.c.wait_ms, _ended.c.path),
    _ranks("run_on", _ended.c.run_ms, _ended.c.path),
    _ranks("wait_in", _ended.c.wait_ms, _in_bucket),
)
_made: Final = (
    select(milliseconds(jobs.c.created_at).label("at_ms"))
    .where(jobs.c.created_at > _since)
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
    counts = (await session.run(_counts, **span)).all()
    accepted = (await session.run(_accepted, **span)).all()
    took = _Took((await session.run(_percentiles, **span)).all())
    return Recent(
        since=max(since, *(_covered(rows, since) for rows in (counts, accepted))),
        accepted={row.bucket: row.many for row in accepted},
        ended=[
            Ended(bucket=row.bucket, path=row.path, state=State(row.state), count=row.many)
            for row in counts
        ],
        wait=took.of("wait").get("", Percentiles()),
        run=took.of("run").get("", Percentiles()),
        wait_on=took.of("wait_on"),
        run_on=took.of("run_on"),
        wait_in={int(key): each for key, each in took.of("wait_in").items()},
    )


class _Took:
    """The rows of the percentiles, by what they are of."""

    def __init__(self, rows: Sequence[Row[Any]]) -> None:
        self._rows = rows

    def of(self, what: str) -> dict[str, Percentiles]:
        return {
            row.key: Percentiles(_in_s(row.p50), _in_s(row.p95))
            for row in self._rows
            if row.what == what
        }


def _covered(rows: Sequence[Row[Any]], since: datetime) -> datetime:
    """From when on nothing is left out."""
    if sum(row.many for row in rows) < RECENT:
        return since
    first_ms = min(row.first_ms for row in rows)
    return since + timedelta(milliseconds=first_ms - _in_ms(since))


def _in_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _in_s(ms: int | None) -> float | None:
    return None if ms is None else max(0, ms) / 1000
