"""Jobs of all tenants, by whatever is known of them, without reading a million of them.

A search looks at no more than so many rows, in order of creation, and keeps those that fit; the place
where it stopped is where the next page begins. So a page may have few jobs, or none, and still not be
the last. Whose index is walked depends on what is asked: a tenant's own, that of what went wrong, that
of all. What is held by workers is bounded by their slots, and read as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    bindparam,
    literal,
    literal_column,
    select,
    text,
    update,
)

from headrace.adapters.store.sql.expressions import clock, has_label, ids, literally
from headrace.adapters.store.sql.reading import between
from headrace.adapters.store.sql.rows import to_job
from headrace.adapters.store.sql.schema import GONE_WRONG, HELD, attempts, jobs
from headrace.adapters.store.sql.session import Session, refuse_nul
from headrace.adapters.store.sql.types import Name
from headrace.contracts.ids import JobId, WorkerId
from headrace.core.job import HELD as HELD_STATES
from headrace.core.job import TERMINAL, Job, State
from headrace.core.ports.operations import LOOKED_AT
from headrace.core.ports.queries import Cursor, Found, Search

_PLAIN: Final = ("tenant", "state", "kind", "model", "path", "lane")
_anybodys: Final = select(jobs).where(
    jobs.c.id == bindparam("job", type_=Name), jobs.c.shadow_of.is_(None)
)


async def anybodys(session: Session, job: JobId) -> Job | None:
    if "\0" in job:
        return None
    row = (await session.run(_anybodys, job=job)).one_or_none()
    return None if row is None else to_job(row)


async def search(session: Session, wanted: Search) -> Found:
    refuse_nul([wanted.tenant, wanted.kind, wanted.model, wanted.label, wanted.ids])
    refuse_nul([wanted.path, wanted.lane, wanted.worker, wanted.error])
    looked, bounded = _looked_at(wanted)
    table = looked.subquery("jobs")
    newest_first = (table.c.created_at.desc(), table.c.id.desc())
    fitting = select(table).where(*_conditions(table, wanted)).order_by(*newest_first)
    rows = (await session.run(fitting.limit(wanted.limit + 1))).all()
    found = [to_job(row) for row in rows[: wanted.limit]]
    if len(rows) > wanted.limit:
        return Found(found, _place_of(found[-1]))
    return Found(found, await _where_it_stopped(session, wanted) if bounded else None)


def _looked_at(wanted: Search) -> tuple[Select[Any], bool]:
    """The rows to look at, and whether there may be more than one search looks at."""
    if wanted.ids is not None:
        return between(select(jobs).where(jobs.c.id.in_(wanted.ids)), wanted), False
    if wanted.state in HELD_STATES:
        # Apart, so that the planner finds them by their own index and not along all others.
        held = select(jobs).where(text(HELD)).cte("held").prefix_with("MATERIALIZED")
        return between(select(held), wanted, held), False
    return _in_order(select(jobs), wanted).limit(LOOKED_AT), True


def _in_order(rows: Select[Any], wanted: Search) -> Select[Any]:
    if wanted.tenant is not None:
        rows = rows.where(jobs.c.tenant == wanted.tenant)
    if wanted.error is not None or wanted.state in {State.FAILED, State.DEAD}:
        rows = rows.where(text(GONE_WRONG))
    return between(rows, wanted).order_by(jobs.c.created_at.desc(), jobs.c.id.desc())


async def _where_it_stopped(session: Session, wanted: Search) -> Cursor | None:
    last = _in_order(select(jobs.c.created_at, jobs.c.id), wanted).offset(LOOKED_AT - 1).limit(1)
    row = (await session.run(last)).one_or_none()
    return None if row is None else (row.created_at, JobId(row.id))


def _place_of(job: Job) -> Cursor | None:
    return None if job.created_at is None else (job.created_at, job.id)


def _conditions(table: FromClause, wanted: Search) -> list[ColumnElement[bool]]:
    plain = {name: getattr(wanted, name) for name in _PLAIN}
    conditions = [table.c[name] == value for name, value in plain.items() if value is not None]
    conditions.append(table.c.shadow_of.is_(None))  # nobody's jobs, and soon gone
    if wanted.states is not None:
        conditions.append(table.c.state.in_(wanted.states))
    if wanted.label is not None:
        conditions.append(has_label(table.c.labels, *(literal(each) for each in wanted.label)))
    if wanted.worker is not None:
        conditions.append(_tried_by(table, wanted.worker))
    if wanted.error is not None:
        said = literal_column("jobs.error ->> 'message'", Text)  # of the subquery by that name
        conditions.append(said.icontains(wanted.error, autoescape=True))
    return conditions


def _tried_by(table: FromClause, worker: WorkerId) -> ColumnElement[bool]:
    """Asked of each row by the key of attempts: as EXISTS, it might be asked of all attempts at once."""
    mine = and_(attempts.c.job == table.c.id, attempts.c.worker == worker)
    one = select(attempts.c.attempt).where(mine).limit(1).correlate(table)
    return one.scalar_subquery().is_not(None)


_ended: Final = [literally(state) for state in sorted(TERMINAL)]
_open: Final = (
    select(jobs.c.number)
    .where(
        jobs.c.id.in_(ids),
        jobs.c.cancel_asked_at.is_(None),
        jobs.c.state.not_in(_ended),
        jobs.c.shadow_of.is_(None),
    )
    .order_by(jobs.c.id)
    .with_for_update()
    .cte("open_jobs")
)
_wish_all: Final = (
    update(jobs)
    .where(
        jobs.c.number.in_(select(_open.c.number)),
        jobs.c.cancel_asked_at.is_(None),
        jobs.c.state.not_in(_ended),
    )
    .values(cancel_asked_at=clock())
    .returning(jobs.c.id)
)


async def wish_all(session: Session, wanted: Sequence[JobId]) -> list[JobId]:
    if not wanted:
        return []
    rows = await session.run_batch(_wish_all, [{"id": job} for job in sorted(wanted)])
    wished = [JobId(row.id) for row in rows]
    session.stirred |= bool(wished)
    return wished
