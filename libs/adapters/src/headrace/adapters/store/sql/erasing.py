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
    and_,
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
from headrace.adapters.store.sql.schema_batches import OVER, batch_items, batch_tallies, batches
from headrace.adapters.store.sql.schema_deletions import erased
from headrace.adapters.store.sql.schema_models import feedback, model_routes, model_versions, models
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
from headrace.contracts.ids import BatchId, DeletionId, JobId, RunId, TenantId
from headrace.contracts.producing import OUTSIDE
from headrace.core.models import version_id
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
    "feedback": delete(feedback).where(feedback.c.job.in_(ids)),
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
_UNTOLD: Final = ("uses", "tallies")  # no rows that anybody knows of


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


_over: Final = select(batches.c.id).where(batches.c.id.in_(ids), text(OVER)).with_for_update()
_about_batches: Final[Mapping[str, Delete]] = {
    "deliveries": delete(webhook_calls).where(webhook_calls.c.job.in_(ids)),
    "answers": delete(answers).where(answers.c.about.in_(ids)),
    "uses": delete(uses).where(uses.c.used_by.in_(ids)),
    "tallies": delete(batch_tallies).where(batch_tallies.c.batch.in_(ids)),
    "batches": delete(batches).where(batches.c.id.in_(ids)),
}
_of_batch: Final = bindparam("of", type_=Name)
_still_there: Final = select(batches.c.id).where(batches.c.id == _of_batch)
_items: Final = (
    select(batch_items.c.place, batch_items.c.job)
    .where(batch_items.c.batch == _of_batch, ~_still_there.exists())
    .order_by(batch_items.c.place)
    .limit(_limit)
)
_places: Final = batch(place=Integer)
_drop_items: Final = delete(batch_items).where(
    batch_items.c.batch == _of_batch, batch_items.c.place.in_(select(_places.c.place))
)
_left_of_batch: Final = select(
    or_(
        _still_there.exists(),
        select(batch_items.c.place).where(batch_items.c.batch == _of_batch).exists(),
    )
)


async def erase_batch(
    session: Session, deletion: DeletionId, wanted: BatchId, limit: int
) -> tuple[Mapping[str, int], bool]:
    """The batch first: who asks for it, or for results, does not find a part of it."""
    over = (await session.run_batch(_over, [{"id": wanted}])).all()
    rows = [{"id": row.id} for row in over]
    named = await blob_uses.named_by(session, rows) if rows else []
    removed = await _remove(session, _about_batches, rows)
    sources = await blob_uses.unused(session, named)
    left = [Remnant(Kind.BLOB, each.tenant, each.blob) for each in sources]
    await add_remnants(session, deletion, left)
    removed += await _erase_items(session, deletion, wanted, limit)
    is_left = bool((await session.run(_left_of_batch, of=wanted)).scalar_one())
    return {name: count for name, count in removed.items() if name not in _UNTOLD}, is_left


async def _erase_items(
    session: Session, deletion: DeletionId, wanted: BatchId, limit: int
) -> Counter[str]:
    found = (await session.run(_items, of=wanted, limit=limit)).all()
    if not found:
        return Counter()
    jobs_of_items = [JobId(row.job) for row in found if row.job is not None]
    removed = Counter(await erase(session, deletion, jobs_of_items, []))
    places = [{"place": row.place} for row in found]
    removed["items"] = (await session.run_batch(_drop_items, places, of=wanted)).rowcount
    return +removed


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


_made_by_erased: Final = (
    select(erased.c.job)
    .where(
        erased.c.job == model_versions.c.job,
        erased.c.deletion == bindparam("wish", type_=Name),
    )
    .exists()
)
_their_versions: Final = (
    select(model_versions.c.tenant, model_versions.c.name, model_versions.c.number)
    .join(
        models,
        and_(models.c.tenant == model_versions.c.tenant, models.c.name == model_versions.c.name),
    )
    .where(
        model_versions.c.tenant == bindparam("owner", type_=Name),
        or_(models.c.created_at < bindparam("then", type_=Instant), _made_by_erased),
    )
    .limit(_limit)
)
_numbered: Final = batch(tenant=Name, name=Name, number=Integer)
_drop_versions: Final = delete(model_versions).where(
    tuple_(model_versions.c.tenant, model_versions.c.name, model_versions.c.number).in_(
        select(_numbered.c.tenant, _numbered.c.name, _numbered.c.number)
    )
)
_weights: Final = {"uses": delete(uses).where(uses.c.used_by.in_(ids))}
_is_bare: Final = (
    ~select(model_versions.c.number)
    .where(model_versions.c.tenant == models.c.tenant, model_versions.c.name == models.c.name)
    .exists()
)
_has_model: Final = (
    select(models.c.name)
    .where(models.c.tenant == model_routes.c.tenant, models.c.name == model_routes.c.name)
    .exists()
)
_their_bare_models: Final = (
    select(models.c.tenant, models.c.name)
    .where(models.c.tenant == bindparam("owner", type_=Name), _is_bare)
    .limit(_limit)
    .with_for_update()
)
_named: Final = batch(tenant=Name, name=Name)
_these_names: Final = select(_named.c.tenant, _named.c.name)
# Looked at again: while the lock was waited for somebody may have registered another version.
_drop_models: Final[Mapping[str, Delete]] = {
    "models": delete(models).where(
        tuple_(models.c.tenant, models.c.name).in_(_these_names), _is_bare
    ),
    "routes": delete(model_routes).where(
        tuple_(model_routes.c.tenant, model_routes.c.name).in_(_these_names), ~_has_model
    ),
}


async def _erase_models(
    session: Session, deletion: DeletionId, whose: Mapping[str, Any]
) -> Counter[str]:
    """Versions first, each with its artefact. A model that has none left is none any more."""
    removed: Counter[str] = Counter()
    versions = [
        dict(row) for row in (await session.run(_their_versions, **whose, wish=deletion)).mappings()
    ]
    if versions:
        named_as = [{"id": f"model:{_version_id(each)}"} for each in versions]
        artefacts = await blob_uses.named_by(session, named_as)
        await _remove(session, _weights, named_as)
        removed["versions"] = (await session.run_batch(_drop_versions, versions)).rowcount
        unused = await blob_uses.unused(session, artefacts)
        left = [Remnant(Kind.BLOB, each.tenant, each.blob) for each in unused]
        await add_remnants(session, deletion, left)
    bare = {name: whose[name] for name in ("owner", "limit")}
    names = [dict(row) for row in (await session.run(_their_bare_models, **bare)).mappings()]
    for name, statement in _drop_models.items() if names else ():
        removed[name] = (await session.run_batch(statement, names)).rowcount
    return +removed


def _version_id(row: Mapping[str, Any]) -> str:
    return version_id(row["tenant"], f"{row['name']}@{row['number']}")


async def erase_around(
    session: Session, deletion: DeletionId, tenant: TenantId, before: datetime, limit: int
) -> Mapping[str, int]:
    whose = {"owner": tenant, "then": before, "limit": limit}
    coming = (await session.run(_their_uploads, **whose)).scalars().all()
    await add_remnants(session, deletion, [Remnant(Kind.UPLOAD, tenant, each) for each in coming])
    found = (await session.run(_their_schedules, **whose)).scalars().all()
    removed = await _remove(session, _with_schedule, [{"id": each} for each in found])
    removed += await _remove(session, _uploads, [{"id": each} for each in coming])
    removed += await _erase_models(session, deletion, whose)
    for name, statement in _around.items():
        removed[name] += (await session.run(statement, **whose)).rowcount
    return {name: count for name, count in (+removed).items() if name not in _UNTOLD}
