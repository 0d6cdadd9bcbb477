"""Remote workers: who they are, and what they took."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Integer, Row, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import batch, clock
from headrace.adapters.store.sql.schema_remote import remote_workers as table
from headrace.adapters.store.sql.schema_remote import takes
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name
from headrace.contracts.ids import ClaimId, JobId, TenantId, WorkerId
from headrace.core.ports.remotes import RemoteWorker, TakeRecord

_SAID: Final = ("id", "name", "tenant", "kind", "said", "info", "maintenance")
_FLAGS: Final = ("paused", "trusted")
_OF_LATEST: Final = 5.0  # a job has this part in its worker's speed
_COUNTS: Final = ("fulfilled", "faulted", "earned")
_given: Final = batch(**{name: table.c[name].type for name in (*_SAID, *_FLAGS)})
_insert: Final = insert(table).from_select(
    [*_SAID, *_FLAGS, *_COUNTS, "created_at", "seen_at"],
    select(
        *(_given.c[name] for name in (*_SAID, *_FLAGS)),
        *(bindparam(f"no_{name}", 0, type_=table.c[name].type) for name in _COUNTS),
        clock(),
        clock(),
    ).where(_given.c.id.is_not(None)),
)
_enlist: Final = _insert.on_conflict_do_update(
    index_elements=[table.c.name],
    set_={"said": _insert.excluded.said, "seen_at": clock()},
    where=(table.c.tenant == _insert.excluded.tenant) & (table.c.kind == _insert.excluded.kind),
)
_id: Final = table.c.id == bindparam("worker", type_=Name)
_one: Final = select(table).where(_id)
_named: Final = select(table).where(table.c.name == bindparam("called", type_=Name))
_names: Final = batch(name=Name)
_with_names: Final = select(table).where(table.c.name.in_(select(_names.c.name)))
_tenant: Final = bindparam("owner", type_=Name)
_kind: Final = bindparam("of_kind", type_=Name)
_all: Final = (
    select(table)
    .where(
        or_(_tenant.is_(None), table.c.tenant == _tenant),
        or_(_kind.is_(None), table.c.kind == _kind),
    )
    .order_by(table.c.id)
    .limit(bindparam("limit", type_=Integer))
)
_CHANGED: Final = ("name", "info", "maintenance", *_FLAGS)
_new: Final = batch(**{name: table.c[name].type for name in ("id", *_CHANGED)})
_twin: Final = table.alias("twin")
_change: Final = (
    update(table)
    .where(
        table.c.id == _new.c.id,
        ~select(_twin.c.id).where(_twin.c.name == _new.c.name, _twin.c.id != _new.c.id).exists(),
    )
    .values({name: _new.c[name] for name in _CHANGED})
    .returning(table.c.id)
)
_latest: Final = bindparam("latest", type_=table.c.speed.type)
_credit: Final = (
    update(table)
    .where(_id)
    .values(
        {
            name: table.c[name] + bindparam(f"more_{name}", type_=table.c[name].type)
            for name in _COUNTS
        }
        | {
            "speed": func.coalesce(
                table.c.speed + (_latest - table.c.speed) / _OF_LATEST, _latest, table.c.speed
            )
        }
    )
)
_delete: Final = delete(table).where(_id)


async def enlist(session: Session, workers: Sequence[RemoteWorker]) -> dict[str, RemoteWorker]:
    """Rows are locked in the order of names: two who enlist the same wait for each other in no ring."""
    if not workers:
        return {}
    rows = [_row(each) for each in sorted(workers, key=attrgetter("name"))]
    await session.run_batch(_enlist, rows)
    return await remote_workers_named(session, [each.name for each in workers])


async def remote_worker(session: Session, worker: WorkerId) -> RemoteWorker | None:
    row = None if "\0" in worker else (await session.run(_one, worker=worker)).one_or_none()
    return None if row is None else to_remote(row)


async def remote_worker_named(session: Session, name: str) -> RemoteWorker | None:
    row = None if "\0" in name else (await session.run(_named, called=name)).one_or_none()
    return None if row is None else to_remote(row)


async def remote_workers_named(session: Session, names: Collection[str]) -> dict[str, RemoteWorker]:
    wanted = [{"name": name} for name in names if "\0" not in name]
    if not wanted:
        return {}
    rows = await session.run_batch(_with_names, wanted)
    return {row.name: to_remote(row) for row in rows}


async def remote_workers(
    session: Session, tenant: TenantId | None, kind: str | None, limit: int
) -> list[RemoteWorker]:
    rows = await session.run(_all, owner=tenant, of_kind=kind, limit=limit)
    return [to_remote(row) for row in rows]


async def change_remote_worker(session: Session, worker: RemoteWorker) -> bool:
    changed = await session.run_batch(_change, [_row(worker)])
    return changed.one_or_none() is not None


async def credit_remote_worker(
    session: Session,
    worker: WorkerId,
    fulfilled: int,
    faulted: int,
    earned: float,
    speed: float | None,
) -> None:
    await session.run(
        _credit,
        worker=worker,
        more_fulfilled=fulfilled,
        more_faulted=faulted,
        more_earned=earned,
        latest=speed,
    )


async def delete_remote_worker(session: Session, worker: WorkerId) -> None:
    await session.run(_delete, worker=worker)


def _row(worker: RemoteWorker) -> dict[str, Any]:
    return {
        "id": worker.id,
        "name": worker.name,
        "tenant": worker.tenant,
        "kind": worker.kind,
        "said": dict(worker.said),
        "info": worker.info,
        "maintenance": worker.maintenance,
        "paused": int(worker.paused),
        "trusted": int(worker.trusted),
    }


def to_remote(row: Row[Any]) -> RemoteWorker:
    return RemoteWorker(
        id=WorkerId(row.id),
        name=row.name,
        tenant=TenantId(row.tenant),
        kind=row.kind,
        said=row.said,
        info=row.info,
        maintenance=row.maintenance,
        paused=bool(row.paused),
        trusted=bool(row.trusted),
        fulfilled=row.fulfilled,
        faulted=row.faulted,
        earned=row.earned,
        speed=row.speed,
        created_at=row.created_at,
        seen_at=row.seen_at,
    )


_NOTED: Final = ("claim", "job", "tenant", "epoch", "worker", "model")
_taken: Final = batch(**{name: takes.c[name].type for name in _NOTED})
_note: Final = (
    insert(takes)
    .from_select(
        [*_NOTED, "granted_at"],
        select(*(_taken.c[name] for name in _NOTED), clock()).where(_taken.c.claim.is_not(None)),
    )
    .on_conflict_do_nothing()
)
_claim: Final = takes.c.claim == bindparam("of_claim", type_=Name)
_find: Final = select(takes).where(_claim)
_settle: Final = (
    update(takes)
    .where(_claim, takes.c.settled_at.is_(None))
    .values(settled_at=clock())
    .returning(takes.c.claim)
)
_old: Final = (
    select(takes.c.claim)
    .where(takes.c.granted_at < bindparam("then", type_=Instant))
    .order_by(takes.c.granted_at)
    .limit(bindparam("limit", type_=Integer))
)
_purge: Final = delete(takes).where(takes.c.claim.in_(_old))


async def note_take(session: Session, take: TakeRecord) -> None:
    row = {name: getattr(take, name) for name in _NOTED}
    await session.run_batch(_note, [row])


async def take(session: Session, claim: ClaimId) -> TakeRecord | None:
    row = None if "\0" in claim else (await session.run(_find, of_claim=claim)).one_or_none()
    if row is None:
        return None
    return TakeRecord(
        claim=ClaimId(row.claim),
        job=JobId(row.job),
        tenant=TenantId(row.tenant),
        epoch=row.epoch,
        worker=WorkerId(row.worker),
        model=row.model,
        granted_at=row.granted_at,
        settled_at=row.settled_at,
    )


async def settle_take(session: Session, claim: ClaimId) -> bool:
    settled = await session.run(_settle, of_claim=claim)
    return settled.one_or_none() is not None


async def purge_takes(session: Session, granted_before: datetime, limit: int) -> int:
    return (await session.run(_purge, then=granted_before, limit=limit)).rowcount
