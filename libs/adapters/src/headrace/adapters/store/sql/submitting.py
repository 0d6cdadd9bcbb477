"""Taking jobs in: the row, its place in the outbox and its idempotency key, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Insert,
    Row,
    and_,
    case,
    literal_column,
    null,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import (
    batch,
    clock,
    ids,
    literally,
    milliseconds,
    waits_until,
)
from headrace.adapters.store.sql.rows import key_row, new_row, to_job
from headrace.adapters.store.sql.schema import idempotency_keys, jobs, outbox
from headrace.adapters.store.sql.session import Session
from headrace.contracts.ids import JobId
from headrace.core.fair_share import PRIORITY_IS_WORTH
from headrace.core.job import State
from headrace.core.ports.store import Conflict, Created, Insertion, NewJob, Replayed

POINT_MS: Final = round(PRIORITY_IS_WORTH.total_seconds() * 1000)
_ASKED: Final = (
    *("id", "tenant", "kind", "model", "input", "priority", "timeout_s", "start_deadline"),
    *("labels", "lane", "path", "state", "epoch", "not_before", "trace", "retry_of"),
    *("cancel_after_s", "conversation", "api_key", "shadow_of", "shadow_tenant"),
    *("wants", "payload", "price", "webhook", "checkpoint"),
    *("register_as", "artefact", "version", "nodes", "gpus"),
)
_new: Final = batch(**{name: jobs.c[name].type for name in _ASKED})
_zero: Final[ColumnElement[Any]] = literal_column("0")
_columns: Final = {
    **dict(_new.c.items()),
    "not_before": waits_until(_new),
    "attempt": _zero,
    "failures": _zero,
    "losses": _zero,
    "created_at": clock(),
}

# PostgreSQL's form of INSERT says ON CONFLICT as SQLite does, so it serves both. `WHERE true` is
# for SQLite, which would otherwise read ON as the beginning of a join.
_insert_jobs: Final = (
    insert(jobs)
    .from_select(list(_columns), select(*_columns.values()).where(true()))
    .on_conflict_do_nothing(index_elements=[jobs.c.id])
    .returning(jobs)
)
_keys: Final = batch(
    **{name: idempotency_keys.c[name].type for name in ("tenant", "key", "fingerprint")},
    id=jobs.c.id.type,
)
_insert_keys: Final = (
    insert(idempotency_keys)
    .from_select(
        ["tenant", "key", "fingerprint", "job", "created_at"],
        select(_keys.c.tenant, _keys.c.key, _keys.c.fingerprint, _keys.c.id, clock()).where(true()),
    )
    .on_conflict_do_nothing()
    .returning(idempotency_keys.c.job)
)
_read_keys: Final = (
    select(jobs, idempotency_keys.c.key, idempotency_keys.c.fingerprint)
    .join(idempotency_keys, idempotency_keys.c.job == jobs.c.id)
    .join(
        _keys,
        and_(
            idempotency_keys.c.tenant == _keys.c.tenant,
            idempotency_keys.c.key == _keys.c.key,
        ),
    )
)
_read_jobs: Final = select(jobs).where(jobs.c.id.in_(ids))


def into_outbox(source: FromClause) -> Insert:
    """An outbox row for each job of `source` that is queued, as new if there was one."""
    columns = ("number", "id", "epoch", "tenant", "lane", "path", "trace", "wants", "nodes")
    queued = select(*(source.c[name] for name in columns), _since(source)).where(
        source.c.state == literally(State.QUEUED)
    )
    names = [*(_outbox_name(name) for name in columns), "since"]
    offers = insert(outbox).from_select(names, queued)
    return offers.on_conflict_do_update(
        index_elements=[outbox.c.number],
        set_={"epoch": offers.excluded.epoch, "sent_at": null(), "reserved_until": null()},
    )


def _since(source: FromClause) -> ColumnElement[int]:
    """Who has started before is as old as it was; who was scheduled until now comes now."""
    came = case((source.c.started_at.is_(None), clock()), else_=source.c.created_at)
    return milliseconds(came) - source.c.priority * literal_column(str(POINT_MS))


def _outbox_name(column: str) -> str:
    return "job" if column == "id" else column


_made: Final = _insert_jobs.cte("made")
_insert_both: Final = select(_made.c.id, _made.c.created_at).add_cte(
    into_outbox(_made).cte("offers")
)
_queue: Final = into_outbox(_read_jobs.subquery("made"))


async def insert_jobs(session: Session, news: Sequence[NewJob]) -> list[Insertion]:
    """A twin waits for the key until the other has committed, then finds it: one is created.

    An insert that is tried again after a commit without an answer finds its own job.
    """
    if not news:
        return []
    replays = await _take_keys(session, [new for new in news if new.idempotency is not None])
    made = await _insert(session, [new for new in news if new.job.id not in replays])
    lost = [new for new in news if new.job.id not in made]
    found = await _find(session, lost) if lost else {}
    session.stirred |= bool(made)
    return [_insertion(new, made, found) for new in news]


async def _take_keys(session: Session, news: Sequence[NewJob]) -> set[JobId]:
    """Take the keys that are free; answers the jobs whose keys were not."""
    if not news:
        return set()
    rows = sorted((key_row(new) for new in news), key=lambda row: (row["tenant"], row["key"]))
    taken = {row.job for row in await session.run_batch(_insert_keys, rows)}
    return {new.job.id for new in news if new.job.id not in taken}


async def _insert(session: Session, news: Sequence[NewJob]) -> dict[JobId, datetime]:
    if not news:
        return {}
    rows = [new_row(new) for new in news]
    if session.postgresql:
        answer = await session.run_batch(_insert_both, rows)
        return {JobId(row.id): row.created_at for row in answer}
    answer = await session.run_batch(_insert_jobs, rows)
    made = {JobId(row.id): row.created_at for row in answer}
    await session.run_batch(_queue, [{"id": job} for job in made])
    return made


_Found = dict[tuple[str, str], Row[Any]]


async def _find(session: Session, lost: Sequence[NewJob]) -> _Found:
    """The rows that were there before, by tenant and key, or by tenant and id."""
    keyed = [key_row(new) for new in lost if new.idempotency is not None]
    plain = [{"id": new.job.id} for new in lost if new.idempotency is None]
    found: _Found = {}
    if keyed:
        found |= {(row.tenant, row.key): row for row in await session.run_batch(_read_keys, keyed)}
    if plain:
        found |= {(row.tenant, row.id): row for row in await session.run_batch(_read_jobs, plain)}
    return found


def _insertion(new: NewJob, made: dict[JobId, datetime], found: _Found) -> Insertion:
    if new.job.id in made:
        return Created(replace(new.job, created_at=made[new.job.id]))
    if new.idempotency is None:
        return Replayed(to_job(found[new.job.tenant, new.job.id]))
    row = found[new.job.tenant, new.idempotency.key]
    if row.fingerprint != new.idempotency.fingerprint:
        return Conflict()
    return Replayed(to_job(row))
