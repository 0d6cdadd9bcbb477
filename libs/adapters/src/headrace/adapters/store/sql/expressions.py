"""The few expressions that each database spells its own way; statements are the same for both.

A verb's rows travel as one parameter, a JSON array, so that a batch is one statement of constant
text: one round trip, one prepared statement, whatever its length.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Double, Text, bindparam, case, cast, func, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import Subquery
from sqlalchemy.types import Boolean, TypeEngine

from headrace.adapters.store.sql.types import Instant, Name
from headrace.core.job import State

ROWS: Final = "rows"  # the parameter that carries a batch


class clock(FunctionElement[Any]):  # noqa: N801  # reads as the SQL function it is
    """The database's clock. PostgreSQL's stands still within a transaction."""

    type: TypeEngine[Any] = Instant()
    inherit_cache: bool | None = True


@compiles(clock, "postgresql")
def _postgresql_clock(_element: clock, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "now()"


@compiles(clock, "sqlite")
def _sqlite_clock(_element: clock, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')"  # as `types.written` writes it


class milliseconds(FunctionElement[int]):  # noqa: N801
    """An instant as a number."""

    type: TypeEngine[int] = BigInteger()
    inherit_cache: bool | None = True


@compiles(milliseconds, "postgresql")
def _postgresql_milliseconds(element: milliseconds, compiler: SQLCompiler, **kw: Any) -> str:
    instant = compiler.process(element.clauses, **kw)
    return f"CAST(floor(extract(epoch FROM {instant}) * 1000) AS BIGINT)"


@compiles(milliseconds, "sqlite")
def _sqlite_milliseconds(element: milliseconds, compiler: SQLCompiler, **kw: Any) -> str:
    # A Julian day has no fraction finer than a millisecond's here, and no version of SQLite lacks it.
    instant = compiler.process(element.clauses, **kw)
    return f"CAST(round((julianday({instant}) - 2440587.5) * 86400000) AS INTEGER)"


class _elements(FunctionElement[Any]):  # noqa: N801
    inherit_cache: bool | None = True


@compiles(_elements, "postgresql")
def _postgresql_elements(element: _elements, compiler: SQLCompiler, **kw: Any) -> str:
    return f"jsonb_array_elements(CAST({compiler.process(element.clauses, **kw)} AS JSONB))"


@compiles(_elements, "sqlite")
def _sqlite_elements(element: _elements, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **kw)})"


def batch(**fields: TypeEngine[Any] | type[TypeEngine[Any]]) -> Subquery:
    """The rows of the parameter `rows` as a table of these columns."""
    each = _elements(bindparam(ROWS, type_=Text)).table_valued("value", name="r")
    columns = [
        cast(literal_column(f"r.value ->> '{name}'"), kind).label(name)
        for name, kind in fields.items()
    ]
    return select(*columns).select_from(each).subquery("b")


def literally(state: State) -> ColumnElement[str]:
    """Written into the statement, where the planner sees it."""
    return literal_column(f"'{state}'", Name)


def waits_until(row: Subquery) -> ColumnElement[Any]:
    """A job that is scheduled for no time in particular is due now: it is never forgotten."""
    scheduled = row.c.state == literally(State.SCHEDULED)
    return case((scheduled, func.coalesce(row.c.not_before, clock())), else_=row.c.not_before)


def stamped(column: ColumnElement[Any], *, when: ColumnElement[bool]) -> ColumnElement[Any]:
    """The time at which that was so first."""
    return case((when, func.coalesce(column, clock())), else_=column)


ids: Final = select(batch(id=Name).c.id)  # of a batch that is only ids


class has_label(FunctionElement[bool]):  # noqa: N801
    """Does this column of labels hold that key with that value?"""

    type: TypeEngine[bool] = Boolean()
    inherit_cache: bool | None = True


@compiles(has_label, "postgresql")
def _postgresql_has_label(element: has_label, compiler: SQLCompiler, **kw: Any) -> str:
    labels, key, value = (compiler.process(each, **kw) for each in _arguments(element))
    return f"({labels} ->> {key} = {value})"


@compiles(has_label, "sqlite")
def _sqlite_has_label(element: has_label, compiler: SQLCompiler, **kw: Any) -> str:
    # Not ->>: SQLite would read a key such as "a.b" or "7" as a path.
    labels, key, value = (compiler.process(each, **kw) for each in _arguments(element))
    found = f"json_each({labels}) WHERE key = {key} AND value = {value}"
    return f"EXISTS (SELECT 1 FROM {found})"  # noqa: S608  # SQL that SQLAlchemy has compiled


class number_in(FunctionElement[float]):  # noqa: N801
    """The number that this column's object has under that name; a truth is 1 or 0, all else is NULL.

    The name is an identifier: nothing that SQLite could read as a path.
    """

    type: TypeEngine[float] = Double()
    inherit_cache: bool | None = True


@compiles(number_in, "postgresql")
def _postgresql_number_in(element: number_in, compiler: SQLCompiler, **kw: Any) -> str:
    column, name = (compiler.process(each, **kw) for each in element.clauses)
    return (
        f"CASE jsonb_typeof({column} -> {name})"
        f" WHEN 'number' THEN CAST({column} ->> {name} AS DOUBLE PRECISION)"
        f" WHEN 'boolean' THEN CAST(CAST({column} ->> {name} AS BOOLEAN) AS INTEGER) END"
    )


@compiles(number_in, "sqlite")
def _sqlite_number_in(element: number_in, compiler: SQLCompiler, **kw: Any) -> str:
    column, name = (compiler.process(each, **kw) for each in element.clauses)
    return (
        f"CASE WHEN json_type({column}, '$.' || {name}) IN ('integer', 'real', 'true', 'false')"
        f" THEN json_extract({column}, '$.' || {name}) END"
    )


def _arguments(element: has_label) -> tuple[ColumnElement[Any], ...]:
    return tuple(element.clauses)
