"""Batches: whose turn it is to begin items, how far each is, and when it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Integer,
    Row,
    Select,
    Text,
    bindparam,
    delete,
    func,
    literal,
    literal_column,
    null,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql import blob_uses, calls
from headrace.adapters.store.sql.expressions import batch as rows_of
from headrace.adapters.store.sql.expressions import clock, ids
from headrace.adapters.store.sql.schema import HELD, jobs
from headrace.adapters.store.sql.schema_around import blob_uses as uses
from headrace.adapters.store.sql.schema_batches import (
    OVER,
    UNBEGUN,
    batch_items,
    batch_tallies,
    batches,
)
from headrace.adapters.store.sql.schema_webhooks import webhook_calls
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name, Number
from headrace.contracts.ids import BatchId, BlobId, KeyId, TenantId
from headrace.core.batch import BATCH_LABEL, Batch, ItemState, Tally
from headrace.core.ports.batches import Look, PurgedBatches

ENDS: Final = ("succeeded", "failed", "cancelled", "dead", "rejected")
OF_JOB: Final = literal_column(f"jobs.labels ->> '{BATCH_LABEL}'", Name)
_columns: Final = (
    *(
        "id",
        "tenant",
        "path",
        "kind",
        "model",
        "source",
        "total",
        "priority",
        "timeout_s",
        "labels",
    ),
    *("api_key", "trace"),
)
_new: Final = rows_of(**{name: batches.c[name].type for name in _columns})
_zero: Final = literal_column("0", Integer)
_insert: Final = (
    insert(batches)
    .from_select(
        [*_columns, "begun", "read_to", "not_before", "created_at"],
        select(*(_new.c[name] for name in _columns), _zero, _zero, clock(), clock()),
    )
    .returning(batches.c.created_at, batches.c.not_before)
)
_insert_tally: Final = insert(batch_tallies).from_select(
    ["batch", "total", "last", *ENDS],
    select(_new.c.id, _new.c.total, _zero, *(_zero for _ in ENDS)),
)


async def insert_batch(session: Session, new: Batch) -> Batch:
    row = {name: getattr(new, name) for name in _columns}
    made = (await session.run_batch(_insert, [row])).one()
    await session.run_batch(_insert_tally, [row])
    return replace(new, created_at=made.created_at, not_before=made.not_before)


_tallied: Final = select(batches, *(batch_tallies.c[name] for name in ENDS)).join(
    batch_tallies, batch_tallies.c.batch == batches.c.id
)
_held: Final = text(HELD.replace("state", "jobs.state"))  # as its index has it
_its_item: Final = (
    select(batch_items.c.place)
    .where(
        batch_items.c.batch == batches.c.id,
        batch_items.c.job == jobs.c.id,
        batch_items.c.number.is_(None),
    )
    .limit(1)
    .correlate(batches, jobs)
    .scalar_subquery()
)
# Asked of each job that workers hold of the tenant, which their slots bound: as a join, it might be asked
# of each open item.
_running: Final = (
    select(func.count())
    .select_from(jobs)
    .where(jobs.c.tenant == batches.c.tenant, _held, _its_item.is_not(None))
    .correlate(batches)
    .scalar_subquery()
    .label("running")
)
_looked: Final = _tallied.add_columns(_running)
_look: Final = _looked.where(
    batches.c.tenant == bindparam("owner", type_=Name),
    batches.c.id == bindparam("batch", type_=Name),
)


async def look(session: Session, tenant: TenantId, wanted: BatchId) -> Look | None:
    row = (await session.run(_look, owner=tenant, batch=wanted)).one_or_none()
    return None if row is None else _to_look(row)


# Apart: who waited for the lock would join the row as it is now with its count as it was before.
_lock: Final = (
    select(batches.c.id).where(batches.c.id.in_(ids)).order_by(batches.c.id).with_for_update()
)
_these: Final = _tallied.where(batches.c.id.in_(ids)).order_by(batches.c.id)


async def lock(session: Session, wanted: Sequence[BatchId]) -> list[Batch]:
    if not wanted:
        return []
    asked = [{"id": each} for each in wanted]
    await session.run_batch(_lock, asked)
    return [to_batch(row) for row in await session.run_batch(_these, asked)]


async def page(
    session: Session,
    tenant: TenantId | None,
    before: tuple[datetime, BatchId] | None,
    limit: int,
) -> list[Look]:
    wanted: Select[Any] = _looked
    if tenant is not None:
        wanted = wanted.where(batches.c.tenant == tenant)
    if before is not None:
        older = tuple_(literal(before[0], Instant), literal(before[1], Name))
        wanted = wanted.where(tuple_(batches.c.created_at, batches.c.id) < older)
    newest_first = (batches.c.created_at.desc(), batches.c.id.desc())
    rows = await session.run(wanted.order_by(*newest_first).limit(limit))
    return [_to_look(row) for row in rows]


_going: Final = (
    select(func.count())
    .select_from(batches)
    .where(batches.c.tenant == bindparam("owner", type_=Name), batches.c.finished_at.is_(None))
)


async def count_open(session: Session, tenant: TenantId) -> int:
    count: int = (await session.run(_going, owner=tenant)).scalar_one()
    return count


_ask_cancel: Final = (
    update(batches)
    .where(
        batches.c.tenant == bindparam("owner", type_=Name),
        batches.c.id == bindparam("batch", type_=Name),
        batches.c.cancel_asked_at.is_(None),
        batches.c.finished_at.is_(None),
    )
    .values(cancel_asked_at=clock(), not_before=clock(), held_up=null())
)


async def ask_cancel(session: Session, tenant: TenantId, wanted: BatchId) -> None:
    await session.run(_ask_cancel, owner=tenant, batch=wanted)


_longest: Final = (
    select(batches.c.id)
    .where(
        batches.c.path == bindparam("side", type_=Name),
        text(UNBEGUN),
        batches.c.not_before <= clock(),
    )
    .order_by(batches.c.not_before)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_hold: Final = (
    update(batches)
    .where(batches.c.id == bindparam("batch", type_=Name))
    .values(not_before=bindparam("until", type_=Instant))
)
_find: Final = _tallied.where(batches.c.id == bindparam("batch", type_=Name))


async def take(session: Session, path: str, until: datetime) -> Batch | None:
    found = (await session.run(_longest, side=path)).scalar_one_or_none()
    if found is None:
        return None
    await session.run(_hold, batch=found, until=until)
    return to_batch((await session.run(_find, batch=found)).one())


_advance: Final = (
    update(batches)
    .where(
        batches.c.id == bindparam("batch", type_=Name),
        batches.c.begun == bindparam("from_begun", type_=Integer),
        batches.c.finished_at.is_(None),
    )
    .values(
        begun=bindparam("to_begun", type_=Integer),
        read_to=bindparam("to_read", type_=Integer),
        not_before=bindparam("later", type_=Instant),
        held_up=bindparam("why", type_=Text),
    )
    .returning(batches.c.id)
)
# A wish to cancel that came since it was read: of what was made ready for a job none must begin.
_unless_cancelled: Final = _advance.where(batches.c.cancel_asked_at.is_(None))


async def advance(session: Session, before: Batch, after: Batch) -> bool:
    moved = await session.run(
        _unless_cancelled if before.cancel_asked_at is None else _advance,
        batch=before.id,
        from_begun=before.begun,
        to_begun=after.begun,
        to_read=after.read_to,
        later=after.not_before,
        why=after.held_up,
    )
    return moved.one_or_none() is not None


COUNT: Final = (
    update(batch_tallies)
    .where(batch_tallies.c.batch == bindparam("of", type_=Name))
    .values(
        last=batch_tallies.c.last + bindparam("more", type_=Integer),
        **{name: batch_tallies.c[name] + bindparam(f"more_{name}", type_=Integer) for name in ENDS},
    )
    .returning(batch_tallies)
)
_finish: Final = (
    update(batches)
    .where(batches.c.id == bindparam("batch", type_=Name), batches.c.finished_at.is_(None))
    .values(finished_at=clock(), held_up=null())
)


def more(batch: BatchId, ends: Iterable[ItemState]) -> dict[str, Any]:
    """What COUNT is to add. Whoever does has the batch's count until its transaction ends."""
    ended = Counter(each.value for each in ends)
    each_ = {f"more_{name}": ended[name] for name in ENDS}
    return {"of": batch, "more": ended.total(), **each_}


async def finish_if_over(session: Session, counted: Row[Any]) -> None:
    """What COUNT has answered."""
    if sum(getattr(counted, name) for name in ENDS) < counted.total:
        return
    await session.run(_finish, batch=counted.batch)
    over = (await session.run(_find, batch=counted.batch)).one()
    await calls.write_down_end(session, to_batch(over))


_old: Final = (
    select(batches.c.id)
    .where(text(OVER), batches.c.finished_at < bindparam("then", type_=Instant))
    .order_by(batches.c.finished_at)
    .limit(bindparam("limit", type_=Number))
    .with_for_update(skip_locked=True)
)
_old_of: Final = _old.where(batches.c.tenant == bindparam("owner", type_=Name))
_with_batch: Final = (
    delete(batch_items).where(batch_items.c.batch.in_(ids)),
    delete(batch_tallies).where(batch_tallies.c.batch.in_(ids)),
    delete(uses).where(uses.c.used_by.in_(ids)),
    delete(webhook_calls).where(webhook_calls.c.job.in_(ids)),
    delete(batches).where(batches.c.id.in_(ids)),
)


async def purge(
    session: Session, finished_before: datetime, limit: int, tenant: TenantId | None
) -> PurgedBatches:
    whose = {} if tenant is None else {"owner": tenant}
    question = _old if tenant is None else _old_of
    found = await session.run(question, then=finished_before, limit=limit, **whose)
    old = found.scalars().all()
    if not old:
        return PurgedBatches(0, [])
    rows = [{"id": each} for each in old]
    named = await blob_uses.named_by(session, rows)
    for statement in _with_batch:
        await session.run_batch(statement, rows)
    return PurgedBatches(len(old), await blob_uses.unused(session, named))


def _to_look(row: Row[Any]) -> Look:
    return Look(to_batch(row), row.running)


def to_batch(row: Row[Any]) -> Batch:
    return Batch(
        id=BatchId(row.id),
        tenant=TenantId(row.tenant),
        path=row.path,
        kind=row.kind,
        model=row.model,
        source=BlobId(row.source),
        total=row.total,
        priority=row.priority,
        timeout_s=row.timeout_s,
        labels=row.labels,
        api_key=None if row.api_key is None else KeyId(row.api_key),
        trace=row.trace,
        begun=row.begun,
        read_to=row.read_to,
        not_before=row.not_before,
        held_up=row.held_up,
        cancel_asked_at=row.cancel_asked_at,
        tally=Tally(**{name: getattr(row, name) for name in ENDS}),
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
