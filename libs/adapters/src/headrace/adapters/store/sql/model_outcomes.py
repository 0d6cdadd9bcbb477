"""What became of the jobs that a version served, and what somebody thought of their results."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Double,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    func,
    null,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import clock, number_in
from headrace.adapters.store.sql.recent import READY, taken
from headrace.adapters.store.sql.schema import jobs
from headrace.adapters.store.sql.schema_models import feedback
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name
from headrace.contracts.ids import JobId
from headrace.core.job import State
from headrace.core.ports.models import OUTPUT, Outcome

_metric: Final = bindparam("metric", type_=Text)


def _ended(value: ColumnElement[Any]) -> Select[Any]:
    return (
        select(
            jobs.c.state,
            taken(READY, jobs.c.started_at).label("wait_ms"),
            taken(jobs.c.started_at, jobs.c.finished_at).label("run_ms"),
            value.label("value"),
        )
        .where(
            jobs.c.version == bindparam("served_by", type_=Name),
            jobs.c.finished_at > bindparam("since", type_=Instant),
            jobs.c.started_at.is_not(None),
            jobs.c.shadow_of.is_(None),
        )
        .order_by(jobs.c.finished_at.desc())
        .limit(bindparam("limit", type_=Integer))
    )


_plain: Final = _ended(null())
_with_output: Final = _ended(number_in(jobs.c.output, _metric))
_with_feedback: Final = (
    _ended(feedback.c.value)
    .select_from(jobs)
    .join(feedback, and_(feedback.c.job == jobs.c.id, feedback.c.name == _metric), isouter=True)
)


async def outcomes(
    session: Session, version: str, since: datetime, metric: str | None, limit: int
) -> list[Outcome]:
    asked: dict[str, Any] = {"served_by": version, "since": since, "limit": limit}
    if metric is None:
        rows = await session.run(_plain, **asked)
    elif metric.startswith(OUTPUT):
        rows = await session.run(_with_output, **asked, metric=metric.removeprefix(OUTPUT))
    else:
        rows = await session.run(_with_feedback, **asked, metric=metric)
    return [
        Outcome(State(row.state), row.wait_ms / 1000, row.run_ms / 1000, row.value) for row in rows
    ]


_job: Final = bindparam("of_job", type_=Name)
_called: Final = bindparam("called", type_=Name)
_others: Final = (
    select(func.count()).where(feedback.c.job == _job, feedback.c.name != _called).scalar_subquery()
)
_put: Final = insert(feedback).from_select(
    ["job", "name", "value", "at"],
    select(_job, _called, bindparam("number", type_=Double), clock()).where(
        _others < bindparam("most", type_=Integer)
    ),
)
_note: Final = _put.on_conflict_do_update(
    index_elements=[feedback.c.job, feedback.c.name],
    set_={name: _put.excluded[name] for name in ("value", "at")},
).returning(feedback.c.name)


async def note_feedback(session: Session, job: JobId, name: str, value: float, most: int) -> bool:
    kept = await session.run(_note, of_job=job, called=name, number=value, most=most)
    return kept.one_or_none() is not None
