"""The rollout's one row, who applies it, and how each path does: bounded by its indexes and limits."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Integer,
    Row,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import batch, clock, ids
from headrace.adapters.store.sql.schema import (
    COUNTS,
    HELD,
    SENT,
    UNSENT,
    jobs,
    outbox,
    paths,
)
from headrace.adapters.store.sql.schema_rollout import replicas as replicas_table
from headrace.adapters.store.sql.schema_rollout import rollout as table
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name, written
from headrace.contracts.ids import TenantId
from headrace.core.job import State
from headrace.core.ports.paths import PATHS
from headrace.core.ports.rollouts import Replica, Sample, Standing
from headrace.core.rollout import GuardTerms, Rollout, Tripped

_ONE: Final = "rollout"
_LATEST: Final = 5000  # jobs to look through for how many were submitted
_MANY: Final = 1000  # running: more need not be counted

_read: Final = select(table)
_new: Final = batch(
    **{name: table.c[name].type for name in ("version", "said", "tripped", "changed_by")}
)
_columns: Final = {**dict(_new.c.items()), "changed_at": clock()}
_first: Final = (
    insert(table)
    .from_select(
        ["name", *_columns],
        select(literal_column(f"'{_ONE}'", Name), *_columns.values()).where(true()),
    )
    .on_conflict_do_nothing()
    .returning(table.c.version)
)
_next: Final = (
    update(table)
    .where(table.c.version == _new.c.version - 1)
    .values(_columns)
    .returning(table.c.version)
)


async def read(session: Session) -> Rollout | None:
    row = (await session.run(_read)).one_or_none()
    return None if row is None else _to_rollout(row)


async def save(session: Session, new: Rollout) -> bool:
    row = {
        "version": new.version,
        "said": _said_of(new),
        "tripped": _trip_of(new.tripped),
        "changed_by": new.changed_by,
    }
    saved = await session.run_batch(_first if new.version == 1 else _next, [row])
    return saved.one_or_none() is not None


def _said_of(new: Rollout) -> dict[str, Any]:
    terms = new.guard
    return {
        "internal": list(new.internal),
        "percent": new.percent,
        "kinds": dict(new.kinds),
        "shadow_percent": new.shadow_percent,
        "guard": {name: getattr(terms, name) for name in GuardTerms.__dataclass_fields__},
    }


def _trip_of(tripped: Tripped | None) -> dict[str, Any] | None:
    if tripped is None:
        return None
    return {"at": written(tripped.at), "why": tripped.why, "percent": tripped.percent}


def _to_rollout(row: Row[Any]) -> Rollout:
    said, tripped = row.said, row.tripped
    # A newer build may say more, and an older one may have said less.
    terms = said.get("guard", {})
    known = {name: terms[name] for name in GuardTerms.__dataclass_fields__ if name in terms}
    return Rollout(
        version=row.version,
        internal=tuple(TenantId(name) for name in said.get("internal", ())),
        percent=said.get("percent", 0.0),
        kinds=said.get("kinds", {}),
        shadow_percent=said.get("shadow_percent", 0.0),
        guard=GuardTerms(**known),
        changed_at=row.changed_at,
        changed_by=row.changed_by,
        tripped=None
        if tripped is None
        else Tripped(datetime.fromisoformat(tripped["at"]), tripped["why"], tripped["percent"]),
    )


_insert_replica: Final = insert(replicas_table).values(
    name=bindparam("who", type_=Name),
    version=bindparam("applied", type_=Integer),
    seen_at=clock(),
)
_see_replica: Final = _insert_replica.on_conflict_do_update(
    index_elements=[replicas_table.c.name],
    set_={name: _insert_replica.excluded[name] for name in ("version", "seen_at")},
)
_forget_replica: Final = delete(replicas_table).where(
    replicas_table.c.name == bindparam("who", type_=Name)
)
_seen: Final = replicas_table.c.seen_at > bindparam("then", type_=Instant)
_forget_silent: Final = delete(replicas_table).where(~_seen)
_replicas: Final = select(replicas_table).where(_seen).order_by(replicas_table.c.name)


async def see_replica(session: Session, name: str, version: int) -> None:
    await session.run(_see_replica, who=name, applied=version)


async def forget_replica(session: Session, name: str) -> None:
    await session.run(_forget_replica, who=name)


async def replicas(session: Session, seen_after: datetime) -> list[Replica]:
    await session.run(_forget_silent, then=seen_after)
    rows = await session.run(_replicas, then=seen_after)
    return [Replica(row.name, row.version, row.seen_at) for row in rows]


_path: Final = bindparam("of_path", type_=Name)
_limit: Final = bindparam("limit", type_=Integer)
_since: Final = bindparam("since", type_=Instant)
_attended: Final = select(paths.c.name).where(paths.c.attended_until > clock())
_running: Final = select(func.count()).select_from(
    select(jobs.c.number)
    .where(text(HELD), jobs.c.path == _path, jobs.c.shadow_of.is_(None))
    .limit(_MANY)
    .subquery()
)
_latest: Final = (
    select(jobs.c.path, jobs.c.created_at, jobs.c.shadow_of)
    .order_by(jobs.c.number.desc())
    .limit(_LATEST)
    .subquery()
)
_submitted: Final = (
    select(_latest.c.path, func.count().label("many"))
    .where(_latest.c.created_at > _since, _latest.c.shadow_of.is_(None))
    .group_by(_latest.c.path)
)


async def attended(session: Session) -> set[str]:
    return set((await session.run(_attended)).scalars())


async def standings(session: Session, since: datetime) -> list[Standing]:
    there = await attended(session)
    came = {row.path: row.many for row in await session.run(_submitted, since=since)}
    return [
        Standing(
            path,
            path in there,
            (await session.run(_running, of_path=path)).scalar_one(),
            came.get(path, 0),
        )
        for path in PATHS
    ]


_TIMES: Final = (
    *(jobs.c.kind, jobs.c.state, jobs.c.created_at, jobs.c.started_at, jobs.c.finished_at),
    clock().label("now"),
)


_created_since: Final = jobs.c.created_at >= bindparam("created_since", type_=Instant)
_ended: Final = (
    select(*_TIMES)
    .where(text(COUNTS), jobs.c.path == _path, jobs.c.finished_at > _since)
    .order_by(jobs.c.finished_at.desc())
    .limit(_limit)
)
_ended_of_late: Final = _ended.where(_created_since)
# In two steps: for one, PostgreSQL would not know how few rows it is about, and read all jobs.
_waiting: Final = [
    select(outbox.c.job.label("id"))
    .where(text(condition), outbox.c.path == _path)
    .order_by(outbox.c.lane)  # as the index has them; without an order it would read the table
    .limit(_limit)
    for condition in (UNSENT, SENT)
]
_queued: Final = select(*_TIMES).where(
    jobs.c.id.in_(ids), _created_since, jobs.c.shadow_of.is_(None)
)
_held: Final = (
    select(*_TIMES)
    .where(
        text(HELD),
        jobs.c.path == _path,
        _created_since,
        jobs.c.shadow_of.is_(None),
    )
    .limit(_limit)
)


async def ended(
    session: Session, path: str, since: datetime, created_since: datetime | None, limit: int
) -> list[Sample]:
    values: dict[str, Any] = {"of_path": path, "since": since, "limit": limit}
    if created_since is None:
        rows = await session.run(_ended, **values)
    else:
        rows = await session.run(_ended_of_late, created_since=created_since, **values)
    return [_to_sample(row) for row in rows]


async def unended(session: Session, path: str, created_since: datetime, limit: int) -> list[Sample]:
    rows = list(await session.run(_held, of_path=path, created_since=created_since, limit=limit))
    for question in _waiting:
        found = (await session.run(question, of_path=path, limit=limit)).mappings().all()
        if found:
            rows += await session.run_batch(
                _queued, [dict(row) for row in found], created_since=created_since
            )
    return [_to_sample(row) for row in rows]


def _to_sample(row: Row[Any]) -> Sample:
    started, until = row.started_at, row.finished_at or row.now
    wait_s = ((started or until) - row.created_at).total_seconds()
    run_s = None if started is None else (until - started).total_seconds()
    return Sample(row.kind, State(row.state), wait_s, run_s)
