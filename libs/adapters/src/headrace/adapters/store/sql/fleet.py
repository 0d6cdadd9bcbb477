"""Who can run what: workers that were heard of, and the catalog of engines they announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Integer, bindparam, delete, func, null, select, text, true, update
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import batch, clock
from headrace.adapters.store.sql.rows import (
    card_rows,
    format_rows,
    to_cards,
    to_held,
    to_member,
    to_worker,
)
from headrace.adapters.store.sql.schema import HELD, attempts, catalog, jobs, workers
from headrace.adapters.store.sql.schema_models import formats
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant
from headrace.contracts.ids import Lane, WorkerId
from headrace.contracts.messages import EngineCard, Vitals
from headrace.core.ports.operations import Held, Member
from headrace.core.ports.store import WorkerRecord

_said: Final = ("id", "slots", "path", "vitals")
_seen: Final = batch(**{name: workers.c[name].type for name in _said})
_insert_worker: Final = insert(workers).from_select(
    [*_said, "seen_at"], select(*(_seen.c[name] for name in _said), clock()).where(true())
)
_new: Final = _insert_worker.excluded
_see: Final = _insert_worker.on_conflict_do_update(
    index_elements=[workers.c.id],
    set_={
        **{name: _new[name] for name in ("slots", "path", "seen_at")},
        "vitals": func.coalesce(_new.vitals, workers.c.vitals),
    },
).returning(workers.c.drain_asked_at)
_forget: Final = delete(workers).where(workers.c.id == bindparam("worker"))
_alive: Final = (
    select(*(workers.c[name] for name in ("id", "slots", "seen_at", "path", "drain_asked_at")))
    .where(workers.c.seen_at > bindparam("after", type_=Instant))
    .order_by(workers.c.id)
)

_card_columns: Final = ("kind", "model", "lane", "rank", "title", "input_schema", "nodes")
_cards: Final = batch(**{name: catalog.c[name].type for name in _card_columns})
_insert_cards: Final = insert(catalog).from_select(
    [*_card_columns, "seen_at"],
    select(*(_cards.c[name] for name in _card_columns), clock()).where(true()),
)
_announce: Final = _insert_cards.on_conflict_do_update(
    index_elements=[catalog.c.kind, catalog.c.model],
    set_={
        name: _insert_cards.excluded[name]
        for name in ("lane", "rank", "title", "input_schema", "nodes", "seen_at")
    },
)
_catalog: Final = select(catalog).order_by(
    catalog.c.kind, catalog.c.lane, catalog.c.rank, catalog.c.model
)
_format_columns: Final = ("lane", "format", "kind", "title", "input_schema")
_serving: Final = batch(**{name: formats.c[name].type for name in _format_columns})
_insert_formats: Final = insert(formats).from_select(
    [*_format_columns, "seen_at"],
    select(*(_serving.c[name] for name in _format_columns), clock()).where(true()),
)
_serve: Final = _insert_formats.on_conflict_do_update(
    index_elements=[formats.c.lane, formats.c.format],
    set_={
        name: _insert_formats.excluded[name]
        for name in ("kind", "title", "input_schema", "seen_at")
    },
)
_served: Final = select(formats).order_by(formats.c.lane, formats.c.format)

_then: Final = bindparam("then", type_=Instant)
_silent: Final = [delete(table).where(table.c.seen_at < _then) for table in (catalog, formats)]


async def see_worker(
    session: Session,
    worker: WorkerId,
    slots: Mapping[Lane, int],
    path: str,
    vitals: Vitals | None,
) -> bool:
    said = None if vitals is None else msgspec.to_builtins(vitals)
    row = {"id": worker, "slots": dict(slots), "path": path, "vitals": said}
    asked = (await session.run_batch(_see, [row])).scalar_one()
    return asked is not None


async def forget_worker(session: Session, worker: WorkerId) -> None:
    await session.run(_forget, worker=worker)


async def workers_alive(session: Session, seen_after: datetime) -> list[WorkerRecord]:
    return [to_worker(row) for row in await session.run(_alive, after=seen_after)]


_limit: Final = bindparam("limit", type_=Integer)
_fleet: Final = select(workers).order_by(workers.c.id).limit(_limit)


async def fleet(session: Session, limit: int) -> list[Member]:
    return [to_member(row) for row in await session.run(_fleet, limit=limit)]


_attempt: Final = (
    select(attempts.c.started_at)
    .where(attempts.c.job == jobs.c.id, attempts.c.attempt == jobs.c.attempt)
    .scalar_subquery()
)
_held: Final = (
    select(
        *(jobs.c[name] for name in ("id", "worker", "kind", "lane", "path", "attempt", "progress")),
        _attempt.label("attempt_began"),
    )
    .where(text(HELD))
    .limit(_limit)
)


async def held(session: Session, limit: int) -> list[Held]:
    return [to_held(row) for row in await session.run(_held, limit=limit)]


_this: Final = update(workers).where(workers.c.id == bindparam("worker")).returning(workers.c.id)
_drain_on: Final = _this.values(drain_asked_at=func.coalesce(workers.c.drain_asked_at, clock()))
_drain_off: Final = _this.values(drain_asked_at=null())


async def ask_drain(session: Session, worker: WorkerId, *, drain: bool) -> bool:
    asked = await session.run(_drain_on if drain else _drain_off, worker=worker)
    session.stirred |= drain  # a dispatcher may think that it works
    return asked.one_or_none() is not None


async def announce_engines(session: Session, cards: Sequence[EngineCard]) -> None:
    rows = card_rows(cards)
    if rows:
        await session.run_batch(_announce, rows)
    if rows := format_rows(cards):
        await session.run_batch(_serve, rows)


async def read_catalog(session: Session) -> list[EngineCard]:
    served = (await session.run(_served)).all()
    return to_cards((await session.run(_catalog)).all(), served)


async def purge_engines(session: Session, announced_before: datetime) -> None:
    for statement in _silent:
        await session.run(statement, then=announced_before)
