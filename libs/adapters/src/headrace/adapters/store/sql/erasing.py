"""The one place that removes every row about a job or a run, and all that a tenant has beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Delete,
    Integer,
    Table,
    bindparam,
    delete,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql import blob_uses
from headrace.adapters.store.sql.deletions import add_remnants
from headrace.adapters.store.sql.expressions import batch, clock, ids
from headrace.adapters.store.sql.schema import ENDED, attempts, idempotency_keys, jobs
from headrace.adapters.store.sql.schema_around import answers, dead_letters, fires, schedules
from headrace.adapters.store.sql.schema_around import blob_uses as uses
from headrace.adapters.store.sql.schema_deletions import erased
from headrace.adapters.store.sql.schema_remote import takes
from headrace.adapters.store.sql.schema_rollout import comparisons
from headrace.adapters.store.sql.schema_runs import run_stages, runs
from headrace.adapters.store.sql.schema_uploads import uploads
from headrace.adapters.store.sql.schema_webhooks import (
    webhook_calls,
    webhook_endpoints,
    webhook_secrets,
)
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name
from headrace.contracts.ids import DeletionId, JobId, RunId, TenantId
from headrace.contracts.producing import OUTSIDE
from headrace.core.ports.deletions import Kind, Remnant

_limit: Final = bindparam("limit", type_=Integer)
_ended: Final = (
    select(jobs.c.id, jobs.c.lane, jobs.c.tenant, jobs.c.shadow_tenant)
    .where(jobs.c.id.in_(ids), text(ENDED))
    .order_by(jobs.c.id)
    .with_for_update()
)
_shadows: Final = select(jobs.c.id, jobs.c.tenant, jobs.c.finished_at).where(
    jobs.c.shadow_of.in_(ids)
)
_wish: Final = (
    update(jobs)
    .where(jobs.c.id.in_(ids), jobs.c.cancel_asked_at.is_(None), jobs.c.finished_at.is_(None))
    .values(cancel_asked_at=clock())
)
_about_jobs: Final[Mapping[str, Delete]] = {
    "attempts": delete(attempts).where(attempts.c.job.in_(ids)),
    "dead_letters": delete(dead_letters).where(dead_letters.c.job.in_(ids)),
    "deliveries": delete(webhook_calls).where(webhook_calls.c.job.in_(ids)),
    "takes": delete(takes).where(takes.c.job.in_(ids)),
    "keys": delete(idempotency_keys).where(idempotency_keys.c.job.in_(ids)),
    "answers": delete(answers).where(answers.c.about.in_(ids)),
    "comparisons": delete(comparisons).where(
        or_(comparisons.c.job.in_(ids), comparisons.c.shadow.in_(ids))
    ),
    "uses": delete(uses).where(uses.c.used_by.in_(ids)),
    "jobs": delete(jobs).where(jobs.c.id.in_(ids)),
}
_about_runs: Final[Mapping[str, Delete]] = {
    "stages": delete(run_stages).where(run_stages.c.run.in_(ids)),
    "answers": delete(answers).where(answers.c.about.in_(ids)),
    "uses": delete(uses).where(uses.c.used_by.in_(ids)),
    "runs": delete(runs).where(runs.c.id.in_(ids)),
}
_UNTOLD: Final = ("uses",)  # no rows that anybody knows of


async def erase(
    session: Session, deletion: DeletionId, gone: Sequence[JobId], gone_runs: Sequence[RunId]
) -> Mapping[str, int]:
    rows = await _with_shadows(session, deletion, gone)
    named = await blob_uses.named_by(session, [*rows, *({"id": run} for run in gone_runs)])
    removed = await _remove(session, _about_jobs, rows)
    removed += await _remove(session, _about_runs, [{"id": run} for run in gone_runs])
    await _note(session, deletion, rows)
    blobs = await blob_uses.unused(session, named)
    await add_remnants(
        session,
        deletion,
        [Remnant(Kind.BLOB, each.tenant, each.blob) for each in blobs] + _outside(rows),
    )
    return {name: count for name, count in removed.items() if name not in _UNTOLD}


async def _with_shadows(
    session: Session, deletion: DeletionId, gone: Sequence[JobId]
) -> list[dict[str, Any]]:
    """Those that have ended. A shadow that has not is asked to, and remains until then."""
    if not gone:
        return []
    asked = [{"id": job} for job in gone]
    shadows = (await session.run_batch(_shadows, asked)).all()
    running = [row for row in shadows if row.finished_at is None]
    if running:
        await session.run_batch(_wish, [{"id": row.id} for row in running])
        session.stirred = True
        names = [Remnant(Kind.JOB, TenantId(row.tenant), row.id) for row in running]
        await add_remnants(session, deletion, names)
    everything = [*asked, *({"id": row.id} for row in shadows)]
    return [dict(row) for row in (await session.run_batch(_ended, everything)).mappings()]


async def _remove(
    session: Session, about: Mapping[str, Delete], rows: Sequence[Mapping[str, Any]]
) -> Counter[str]:
    removed: Counter[str] = Counter()
    if rows:
        named = [{"id": row["id"]} for row in rows]
        for name, statement in about.items():
            removed[name] = (await session.run_batch(statement, named)).rowcount
    return +removed


def _outside(rows: Sequence[Mapping[str, Any]]) -> list[Remnant]:
    return [
        Remnant(kind, TenantId(row["tenant"]), row["id"])
        for row in rows
        for kind in ((Kind.LOG, Kind.PRODUCER) if row["lane"] == OUTSIDE else (Kind.LOG,))
    ]


_gone: Final = batch(job=Name, deletion=Name, owner=Name)
_names: Final = ("job", "deletion", "owner")
_remember: Final = (
    insert(erased)
    .from_select(_names, select(*(_gone.c[name] for name in _names)).where(true()))
    .on_conflict_do_nothing()
)


async def _note(session: Session, deletion: DeletionId, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        said = [
            {
                "job": row["id"],
                "deletion": deletion,
                "owner": row["shadow_tenant"] or row["tenant"],
            }
            for row in rows
        ]
        await session.run_batch(_remember, said)


def _some_of(table: Table, made: str | None) -> Delete:
    key = list(table.primary_key.columns)
    wanted = select(*key).where(table.c.tenant == bindparam("owner", type_=Name)).limit(_limit)
    if made is not None:
        wanted = wanted.where(table.c[made] < bindparam("then", type_=Instant))
    return delete(table).where(tuple_(*key).in_(wanted))


# Whose rows name their tenant; what it is made of, and when it was made.
_around: Final[Mapping[str, Delete]] = {
    "dead_letters": _some_of(dead_letters, "parked_at"),
    "deliveries": _some_of(webhook_calls, "created_at"),
    "webhooks": _some_of(webhook_endpoints, "created_at"),
    "webhook_secrets": _some_of(webhook_secrets, None),
    "keys": _some_of(idempotency_keys, "created_at"),
    "answers": _some_of(answers, "created_at"),
    "comparisons": _some_of(comparisons, "at"),
}
_their_schedules: Final = (
    select(schedules.c.id)
    .where(
        schedules.c.tenant == bindparam("owner", type_=Name),
        schedules.c.created_at < bindparam("then", type_=Instant),
    )
    .limit(_limit)
)
_with_schedule: Final[Mapping[str, Delete]] = {
    "fires": delete(fires).where(fires.c.schedule.in_(ids)),
    "uses": delete(uses).where(uses.c.used_by.in_(ids)),
    "schedules": delete(schedules).where(schedules.c.id.in_(ids)),
}


_their_uploads: Final = (
    select(uploads.c.id)
    .where(
        uploads.c.tenant == bindparam("owner", type_=Name),
        uploads.c.created_at < bindparam("then", type_=Instant),
    )
    .limit(_limit)
)
_uploads: Final[Mapping[str, Delete]] = {"uploads": delete(uploads).where(uploads.c.id.in_(ids))}


async def erase_around(
    session: Session, deletion: DeletionId, tenant: TenantId, before: datetime, limit: int
) -> Mapping[str, int]:
    whose = {"owner": tenant, "then": before, "limit": limit}
    coming = (await session.run(_their_uploads, **whose)).scalars().all()
    await add_remnants(session, deletion, [Remnant(Kind.UPLOAD, tenant, each) for each in coming])
    found = (await session.run(_their_schedules, **whose)).scalars().all()
    removed = await _remove(session, _with_schedule, [{"id": each} for each in found])
    removed += await _remove(session, _uploads, [{"id": each} for each in coming])
    for name, statement in _around.items():
        removed[name] += (await session.run(statement, **whose)).rowcount
    return {name: count for name, count in (+removed).items() if name not in _UNTOLD}
