"""Who can run what: workers that were heard of, and the catalog of engines they announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, delete, select, true
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import batch, clock
from headrace.adapters.store.sql.rows import card_rows, to_cards, to_worker
from headrace.adapters.store.sql.schema import catalog, workers
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant
from headrace.contracts.ids import Lane, WorkerId
from headrace.contracts.messages import EngineCard
from headrace.core.ports.store import WorkerRecord

_seen: Final = batch(id=workers.c.id.type, slots=workers.c.slots.type, path=workers.c.path.type)
_insert_worker: Final = insert(workers).from_select(
    ["id", "slots", "path", "seen_at"],
    select(_seen.c.id, _seen.c.slots, _seen.c.path, clock()).where(true()),
)
_see: Final = _insert_worker.on_conflict_do_update(
    index_elements=[workers.c.id],
    set_={name: _insert_worker.excluded[name] for name in ("slots", "path", "seen_at")},
)
_forget: Final = delete(workers).where(workers.c.id == bindparam("worker"))
_alive: Final = (
    select(workers)
    .where(workers.c.seen_at > bindparam("after", type_=Instant))
    .order_by(workers.c.id)
)

_card_columns: Final = ("kind", "model", "lane", "rank", "title", "input_schema")
_cards: Final = batch(**{name: catalog.c[name].type for name in _card_columns})
_insert_cards: Final = insert(catalog).from_select(
    [*_card_columns, "seen_at"],
    select(*(_cards.c[name] for name in _card_columns), clock()).where(true()),
)
_announce: Final = _insert_cards.on_conflict_do_update(
    index_elements=[catalog.c.kind, catalog.c.model],
    set_={
        name: _insert_cards.excluded[name]
        for name in ("lane", "rank", "title", "input_schema", "seen_at")
    },
)
_catalog: Final = select(catalog).order_by(
    catalog.c.kind, catalog.c.lane, catalog.c.rank, catalog.c.model
)


_then: Final = bindparam("then", type_=Instant)
_silent: Final = delete(catalog).where(catalog.c.seen_at < _then)


async def see_worker(
    session: Session, worker: WorkerId, slots: Mapping[Lane, int], path: str
) -> None:
    await session.run_batch(_see, [{"id": worker, "slots": dict(slots), "path": path}])


async def forget_worker(session: Session, worker: WorkerId) -> None:
    await session.run(_forget, worker=worker)


async def workers_alive(session: Session, seen_after: datetime) -> list[WorkerRecord]:
    return [to_worker(row) for row in await session.run(_alive, after=seen_after)]


async def announce_engines(session: Session, cards: Sequence[EngineCard]) -> None:
    rows = card_rows(cards)
    if rows:
        await session.run_batch(_announce, rows)


async def read_catalog(session: Session) -> list[EngineCard]:
    return to_cards((await session.run(_catalog)).all())


async def purge_engines(session: Session, announced_before: datetime) -> None:
    await session.run(_silent, then=announced_before)
