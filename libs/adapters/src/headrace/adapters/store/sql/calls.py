"""Calls to receivers: an outbox and its log in one table, a row for each event and receiver.

What waits is found queue by queue, a queue being one host for one tenant, by one probe of an index
each: a host that has ten thousand calls waiting hides none of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import (
    CTE,
    Integer,
    Row,
    Select,
    bindparam,
    delete,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.endpoints import to_endpoint
from headrace.adapters.store.sql.expressions import batch, ids
from headrace.adapters.store.sql.schema_webhooks import ENABLED, WAITING
from headrace.adapters.store.sql.schema_webhooks import webhook_calls as calls
from headrace.adapters.store.sql.schema_webhooks import webhook_endpoints as endpoints
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name, written
from headrace.contracts.ids import CallId, EndpointId, JobId, TenantId
from headrace.core.batch import Batch
from headrace.core.ports.webhooks import Call, CallQuery, CallState, Endpoint, Queue, Try
from headrace.core.webhooks import Happened, calls_for, calls_for_batch, owners

_columns: Final = tuple(column.name for column in calls.c)
_new: Final = batch(**{name: calls.c[name].type for name in _columns})
_insert: Final = (
    insert(calls)
    .from_select(list(_columns), select(*(_new.c[name] for name in _columns)).where(true()))
    .on_conflict_do_nothing()
)
_MOST: Final = literal_column("100", Integer)  # of one tenant; the core allows fewer
_asked: Final = batch(id=Name)
_theirs: Final = (
    select(endpoints)
    .where(text(ENABLED), endpoints.c.tenant == _asked.c.id)
    .correlate(_asked)
    .limit(_MOST)
    .lateral("theirs")
)
# PostgreSQL looks up each tenant, and SQLite, which joins nothing laterally, does so by itself.
_enabled: Final = (
    select(*_theirs.c).select_from(_asked.join(_theirs, true())),
    select(endpoints).where(text(ENABLED), endpoints.c.tenant.in_(ids)),
)


async def write_down(session: Session, happened: Sequence[Happened]) -> None:
    """A call for everybody who is to be told."""
    if not happened:
        return
    of_tenant = await _enabled_of(session, owners(happened))
    await _keep(
        session,
        (call for each in happened for call in calls_for(each, of_tenant.get(each.job.tenant, []))),
    )


async def write_down_end(session: Session, batch: Batch) -> None:
    """A call for everybody who is to be told that a batch is over."""
    endpoints = (await _enabled_of(session, [batch.tenant])).get(batch.tenant, [])
    await _keep(session, calls_for_batch(batch, await session.now(), endpoints))


async def _enabled_of(
    session: Session, tenants: Sequence[TenantId]
) -> dict[TenantId, list[Endpoint]]:
    statement = _enabled[0] if session.postgresql else _enabled[1]
    found: dict[TenantId, list[Endpoint]] = {}
    for row in await session.run_batch(statement, [{"id": tenant} for tenant in tenants]):
        found.setdefault(TenantId(row.tenant), []).append(to_endpoint(row))
    return found


async def _keep(session: Session, made: Iterable[Call]) -> None:
    rows = [_row(call) for call in made]
    if rows:
        await session.run_batch(_insert, rows)


def _least() -> Select[Any]:
    return select(func.min(calls.c.queue).label("queue")).where(text(WAITING))


def _ring() -> CTE:
    """The queues behind `start`, by one probe each, no more of them than are asked for."""
    one = literal_column("1", Integer)
    first = _least().where(calls.c.queue > bindparam("start", type_=Name))
    ring = first.add_columns(one.label("place")).cte("ring", recursive=True)
    following = _least().where(calls.c.queue > ring.c.queue).scalar_subquery()
    further = select(following, ring.c.place + one).where(
        ring.c.queue.is_not(None), ring.c.place < bindparam("at_most", type_=Integer)
    )
    return ring.union_all(further)


_now: Final = bindparam("now", type_=Instant)
_standing: Final = _ring()
_is_due: Final = (
    select(calls.c.id)
    .where(text(WAITING), calls.c.queue == _standing.c.queue, calls.c.next_at <= _now)
    .exists()
)
_due_queues: Final = (
    select(_standing.c.queue, _is_due.label("due"))
    .where(_standing.c.queue.is_not(None))
    .order_by(_standing.c.queue)
)
_due_calls: Final = (
    select(calls)
    .where(text(WAITING), calls.c.queue == bindparam("queue", type_=Name), calls.c.next_at <= _now)
    .order_by(calls.c.next_at)
    .limit(bindparam("at_most", type_=Integer))
    .with_for_update(skip_locked=True)
)


async def due_queues(
    session: Session, now: datetime, after: Queue | None, limit: int
) -> tuple[list[Queue], Queue | None]:
    start = "" if after is None else _name_of(after)
    rows = (await session.run(_due_queues, start=start, now=now, at_most=limit)).all()
    place = _to_queue(rows[-1].queue) if len(rows) == limit else None
    return [_to_queue(row.queue) for row in rows if row.due], place


async def due_calls(session: Session, queue: Queue, now: datetime, limit: int) -> list[Call]:
    rows = await session.run(_due_calls, queue=_name_of(queue), now=now, at_most=limit)
    return [_to_call(row) for row in rows]


_fenced: Final = batch(id=Name, tries=Integer)
_reserve: Final = (
    update(calls)
    .where(calls.c.id == _fenced.c.id, calls.c.tries == _fenced.c.tries, text(WAITING))
    .values(tries=calls.c.tries + literal_column("1"), next_at=bindparam("until", type_=Instant))
    .returning(calls.c.id)
)


async def reserve(session: Session, asked: Sequence[Call], until: datetime) -> list[Call]:
    if not asked:
        return []
    rows = [{"id": each.id, "tries": each.tries} for each in asked]
    won = {row.id for row in await session.run_batch(_reserve, rows, until=until)}
    return [replace(each, tries=each.tries + 1, next_at=until) for each in asked if each.id in won]


_moving: Final = ("state", "tries", "next_at", "settled_at", "log")
_changed: Final = batch(
    id=Name, from_tries=Integer, **{name: calls.c[name].type for name in _moving}
)
_save: Final = (
    update(calls)
    .where(calls.c.id == _changed.c.id, calls.c.tries == _changed.c.from_tries)
    .values({calls.c[name]: _changed.c[name] for name in _moving})
    .returning(calls.c.id)
)


async def save(session: Session, before: Call, after: Call) -> bool:
    row = {name: value for name, value in _row(after).items() if name in _moving}
    changed = {**row, "id": before.id, "from_tries": before.tries}
    return (await session.run_batch(_save, [changed])).one_or_none() is not None


async def find(session: Session, tenant: TenantId | None, call: CallId) -> Call | None:
    wanted = select(calls).where(calls.c.id == call)
    if tenant is not None:
        wanted = wanted.where(calls.c.tenant == tenant)
    row = (await session.run(wanted)).one_or_none()
    return None if row is None else _to_call(row)


async def page(session: Session, query: CallQuery) -> list[Call]:
    asked = {"tenant": query.tenant, "state": query.state, "endpoint": query.endpoint}
    wanted = select(calls)
    for name, value in {**asked, "job": query.job}.items():
        if value is not None:
            wanted = wanted.where(calls.c[name] == value)
    if query.before is not None:
        older = tuple_(literal(query.before[0], Instant), literal(query.before[1], Name))
        wanted = wanted.where(tuple_(calls.c.created_at, calls.c.id) < older)
    newest_first = (calls.c.created_at.desc(), calls.c.id.desc())
    rows = await session.run(wanted.order_by(*newest_first).limit(query.limit))
    return [_to_call(row) for row in rows]


_old: Final = (
    select(calls.c.id)
    .where(calls.c.created_at < bindparam("then", type_=Instant), calls.c.settled_at.is_not(None))
    .order_by(calls.c.created_at)
    .limit(bindparam("at_most", type_=Integer))
    .with_for_update(skip_locked=True)
)
_delete: Final = delete(calls).where(calls.c.id.in_(ids))


async def purge(session: Session, created_before: datetime, limit: int) -> int:
    found = (await session.run(_old, then=created_before, at_most=limit)).scalars().all()
    if found:
        await session.run_batch(_delete, [{"id": each} for each in found])
    return len(found)


def _name_of(queue: Queue) -> str:
    """No host has a space in it."""
    return f"{queue.host} {queue.tenant}"


def _to_queue(name: str) -> Queue:
    host, _, tenant = name.partition(" ")
    return Queue(TenantId(tenant), host)


def _row(call: Call) -> dict[str, Any]:
    return {
        "id": call.id,
        "message": call.message,
        "tenant": call.tenant,
        "endpoint": call.endpoint,
        "url": call.url,
        "queue": _name_of(Queue(call.tenant, call.host)),
        "job": call.job,
        "type": call.type,
        "body": call.body,
        "trace": call.trace,
        "state": call.state,
        "tries": call.tries,
        "next_at": written(call.next_at),
        "created_at": written(call.created_at),
        "settled_at": written(call.settled_at),
        "log": msgspec.to_builtins(call.log),
    }


def _to_call(row: Row[Any]) -> Call:
    return Call(
        id=CallId(row.id),
        message=row.message,
        tenant=TenantId(row.tenant),
        endpoint=None if row.endpoint is None else EndpointId(row.endpoint),
        url=row.url,
        host=_to_queue(row.queue).host,
        job=JobId(row.job),
        type=row.type,
        body=row.body,
        trace=row.trace,
        state=CallState(row.state),
        tries=row.tries,
        next_at=row.next_at,
        created_at=row.created_at,
        settled_at=row.settled_at,
        log=msgspec.convert(row.log, tuple[Try, ...]),
    )
