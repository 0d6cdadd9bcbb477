"""Answers to repeat, and letting go of what is old: always the oldest first, and never all at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Column,
    Delete,
    Integer,
    RowMapping,
    Select,
    Table,
    bindparam,
    delete,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql import blob_uses
from headrace.adapters.store.sql.batches import OF_JOB
from headrace.adapters.store.sql.expressions import batch, clock, ids
from headrace.adapters.store.sql.schema import ENDED, attempts, idempotency_keys, jobs, workers
from headrace.adapters.store.sql.schema_around import answers, api_keys, dead_letters, fires
from headrace.adapters.store.sql.schema_around import blob_uses as uses
from headrace.adapters.store.sql.schema_batches import batches
from headrace.adapters.store.sql.schema_models import feedback
from headrace.adapters.store.sql.schema_webhooks import webhook_calls
from headrace.adapters.store.sql.session import Session, refuse_nul
from headrace.adapters.store.sql.types import Instant, Name, written
from headrace.core.ports.upkeep import (
    Answer,
    Different,
    Purged,
    Question,
    Recollection,
    Unasked,
)

_asked: Final = ("tenant", "route", "key")
_these: Final = [answers.c[name] == bindparam(f"of_{name}", type_=Name) for name in _asked]
_take: Final = (
    insert(answers)
    .values(
        **{name: bindparam(f"of_{name}", type_=Name) for name in _asked},
        fingerprint=bindparam("asked", type_=Name),
        created_at=clock(),
    )
    .on_conflict_do_nothing()
    .returning(answers.c.key)
)
_recall: Final = select(answers).where(*_these)
_remember: Final = (
    update(answers)
    .where(*_these)
    .values(
        status=bindparam("code", type_=Integer),
        body=bindparam("said"),
        about=bindparam("whose", type_=Name),
    )
)


async def recall(session: Session, question: Question) -> Recollection:
    refuse_nul(question.key, "/key")
    where = _where(question)
    taken = await session.run(_take, **where, asked=question.fingerprint)
    if taken.one_or_none() is not None:
        return Unasked()
    row = (await session.run(_recall, **where)).one()
    if row.fingerprint != question.fingerprint:
        return Different()
    return Answer(row.status, row.body, row.about)


async def remember(session: Session, question: Question, answer: Answer) -> None:
    said = {"code": answer.status, "said": answer.body, "whose": answer.about}
    await session.run(_remember, **_where(question), **said)


def _where(question: Question) -> dict[str, str]:
    return {f"of_{name}": getattr(question, name) for name in _asked}


@dataclass(frozen=True, slots=True)
class _Oldest:
    """Find the oldest rows, but for those that another purge is at; then delete just these.

    In two statements: for one, PostgreSQL would not know how few rows it is about, and read them all.
    """

    find: Select[Any]
    delete: Delete

    async def purge(self, session: Session, then: datetime, limit: int) -> int:
        found = (await session.run(self.find, then=then, limit=limit)).mappings().all()
        if found:
            await session.run_batch(self.delete, [_written(row) for row in found])
        return len(found)


def _oldest(table: Table, age: Column[Any]) -> _Oldest:
    key = list(table.primary_key.columns)
    found = batch(**{column.name: column.type for column in key})
    return _Oldest(
        select(*key)
        .where(age < bindparam("then", type_=Instant))
        .order_by(age)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True),
        delete(table).where(tuple_(*key).in_(select(*(found.c[each.name] for each in key)))),
    )


def _written(row: RowMapping) -> dict[str, Any]:
    return {
        name: written(value) if isinstance(value, datetime) else value
        for name, value in row.items()
    }


_old_keys: Final = _oldest(idempotency_keys, idempotency_keys.c.created_at)
_old_answers: Final = _oldest(answers, answers.c.created_at)
_old_fires: Final = _oldest(fires, fires.c.fired_at)
_old_workers: Final = _oldest(workers, workers.c.seen_at)
# Read as a whole, without an index: people make them, one at a time.
_revoked: Final = _oldest(api_keys, api_keys.c.revoked_at)
_expired: Final = _oldest(api_keys, api_keys.c.expires_at)


async def purge_keys(session: Session, older_than: datetime, limit: int) -> int:
    keys = await _old_keys.purge(session, older_than, limit)
    return keys + await _old_answers.purge(session, older_than, limit)


async def purge_fires(session: Session, older_than: datetime, limit: int) -> int:
    return await _old_fires.purge(session, older_than, limit)


async def purge_workers(session: Session, seen_before: datetime, limit: int) -> int:
    return await _old_workers.purge(session, seen_before, limit)


async def purge_api_keys(session: Session, useless_since: datetime, limit: int) -> int:
    revoked = await _revoked.purge(session, useless_since, limit)
    return revoked + await _expired.purge(session, useless_since, limit)


# A batch's results are read from its jobs: they stay as long as it does.
_in_a_batch: Final = select(batches.c.id).where(batches.c.id == OF_JOB).correlate(jobs).exists()
_old_jobs: Final = (
    select(jobs.c.id)
    .where(text(ENDED), jobs.c.finished_at < bindparam("then", type_=Instant), ~_in_a_batch)
    .order_by(jobs.c.finished_at)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
)
_with_job: Final = (
    delete(attempts).where(attempts.c.job.in_(ids)),
    delete(dead_letters).where(dead_letters.c.job.in_(ids)),
    delete(uses).where(uses.c.used_by.in_(ids)),
    delete(webhook_calls).where(webhook_calls.c.job.in_(ids)),  # they hold its result
    delete(feedback).where(feedback.c.job.in_(ids)),
    delete(jobs).where(jobs.c.id.in_(ids)),
)


async def purge_jobs(session: Session, finished_before: datetime, limit: int) -> Purged:
    """A job that has ended has left the outbox."""
    old = (await session.run(_old_jobs, then=finished_before, limit=limit)).scalars().all()
    if not old:
        return Purged(0, [])
    rows = [{"id": job} for job in old]
    named = await blob_uses.named_by(session, rows)
    for statement in _with_job:
        await session.run_batch(statement, rows)
    return Purged(len(old), await blob_uses.unused(session, named))
