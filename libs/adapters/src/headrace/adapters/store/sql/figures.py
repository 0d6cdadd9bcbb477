"""What was made and what waits, by model. Each statement looks at so many rows and no more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    bindparam,
    case,
    func,
    literal_column,
    select,
    text,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from headrace.adapters.store.sql.expressions import literally
from headrace.adapters.store.sql.recent import taken
from headrace.adapters.store.sql.schema import ENDED, HELD, NOT_STARTED, jobs
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Json
from headrace.core.job import State
from headrace.core.ports.figures import (
    ENDED_LOOKED_AT,
    OPEN_LOOKED_AT,
    ModelLoad,
    Period,
    Tally,
)

_AGES: Final = {
    Period.MINUTE: timedelta(minutes=1),
    Period.HOUR: timedelta(hours=1),
    Period.DAY: timedelta(days=1),
    Period.MONTH: timedelta(days=30),
}


class _asked(FunctionElement[int]):  # noqa: N801  # reads as the SQL function it is
    """A whole number among the parameters of what was asked; NULL where there is none."""

    type: TypeEngine[int] = BigInteger()
    inherit_cache: bool | None = True


@compiles(_asked, "postgresql")
def _postgresql_asked(element: _asked, compiler: SQLCompiler, **kw: Any) -> str:
    value, name = (compiler.process(each, **kw) for each in element.clauses)
    return f"CAST({value} -> 'params' ->> {name} AS BIGINT)"


@compiles(_asked, "sqlite")
def _sqlite_asked(element: _asked, compiler: SQLCompiler, **kw: Any) -> str:
    value, name = (compiler.process(each, **kw) for each in element.clauses)
    return f"json_extract({value}, '$.params.' || {name})"


# What remote workers may take was asked for in their protocol, whose fields were checked; a native
# job's input may have anything in these places.
_told: Final = func.coalesce(jobs.c.payload, jobs.c.input, type_=Json)


def _number(name: str) -> ColumnElement[int]:
    return _asked(_told, literal_column(f"'{name}'"))


_work: Final = case(
    (jobs.c.wants.is_(None), 0),
    (jobs.c.kind == "image", _number("width") * _number("height") * _number("steps")),
    (jobs.c.kind == "text", _number("max_length")),
    else_=0,
)
_worked: Final = func.coalesce(func.sum(literal_column("work", BigInteger)), 0).label("work")
_many: Final = func.count().label("jobs")

_took: Final = case((_work > 0, taken(jobs.c.started_at, jobs.c.finished_at)), else_=0)
_made: Final = (
    select(
        jobs.c.kind, jobs.c.model, jobs.c.finished_at, _work.label("work"), _took.label("took_ms")
    )
    .where(text(ENDED), jobs.c.state == literally(State.SUCCEEDED), jobs.c.shadow_of.is_(None))
    .order_by(jobs.c.finished_at.desc())
    .limit(literal_column(str(ENDED_LOOKED_AT), Integer))
    .subquery("made")
)
_within: Final = case(
    *((_made.c.finished_at > bindparam(each, type_=Instant), each.value) for each in _AGES),
    else_=Period.TOTAL.value,
).label("within")
_tallies: Final = select(
    *(_made.c.kind, _made.c.model, _within, _many, _worked),
    func.coalesce(func.sum(_made.c.took_ms), 0).label("work_ms"),
).group_by(_made.c.kind, _made.c.model, literal_column("within"))


def _open(condition: str, *, running: int) -> Any:
    rows = select(
        jobs.c.kind,
        jobs.c.model,
        literal_column(str(running), Integer).label("running"),
        _work.label("work"),
    )
    wanted = rows.where(text(condition), jobs.c.shadow_of.is_(None))
    return select(wanted.limit(literal_column(str(OPEN_LOOKED_AT), Integer)).subquery())


_unended: Final = union_all(_open(NOT_STARTED, running=0), _open(HELD, running=1)).subquery("open")
_loads: Final = select(
    _unended.c.kind,
    _unended.c.model,
    _many,
    func.sum(_unended.c.running).label("running"),
    _worked,
).group_by(_unended.c.kind, _unended.c.model)


async def tallies(session: Session) -> list[Tally]:
    now = await session.now()
    since = {each.value: now - age for each, age in _AGES.items()}
    return [
        Tally(
            kind=row.kind,
            model=row.model,
            within=Period(row.within),
            jobs=row.jobs,
            work=int(row.work),
            work_ms=int(row.work_ms),
        )
        for row in await session.run(_tallies, **since)
    ]


async def model_loads(session: Session) -> list[ModelLoad]:
    return [
        ModelLoad(
            kind=row.kind,
            model=row.model,
            waiting=row.jobs - row.running,
            running=int(row.running),
            work=int(row.work),
        )
        for row in await session.run(_loads)
    ]
