"""What attempts leave behind: one value on the job's row, and a use of its blob."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, func, select, tuple_, update

from headrace.adapters.store.sql import blob_uses, deletions
from headrace.adapters.store.sql.expressions import batch, ids
from headrace.adapters.store.sql.rows import to_checkpoint
from headrace.adapters.store.sql.schema import jobs
from headrace.adapters.store.sql.schema_around import blob_uses as uses
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Name
from headrace.contracts.ids import BlobId, JobId, TenantId
from headrace.core.job import HELD, Checkpoint
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.checkpoints import LeftBehind
from headrace.core.ports.upkeep import BlobUse

_owner: Final = func.coalesce(jobs.c.shadow_tenant, jobs.c.tenant).label("owner")
_load: Final = (
    select(jobs.c.id, jobs.c.state, jobs.c.epoch, jobs.c.checkpoint, _owner)
    .where(jobs.c.id.in_(ids))
    .order_by(jobs.c.id)
    .with_for_update()
)
_news: Final = batch(id=jobs.c.id.type, checkpoint=jobs.c.checkpoint.type)
_put: Final = (
    update(jobs).where(jobs.c.id == _news.c.id).values({jobs.c.checkpoint: _news.c.checkpoint})
)
_gone: Final = batch(tenant=Name, blob=Name, used_by=Name)
_forget: Final = delete(uses).where(
    tuple_(uses.c.tenant, uses.c.blob, uses.c.used_by).in_(
        select(_gone.c.tenant, _gone.c.blob, _gone.c.used_by)
    )
)


async def keep(session: Session, told: Sequence[LeftBehind]) -> list[BlobRef]:
    """Also what is refused is let go, if nobody names it: its worker's word was the only one for it."""
    rows = await _rows(session, (each.job for each in told))
    now = await session.now()
    newest: dict[str, Checkpoint] = {}
    refused: list[BlobRef] = []
    for each in told:
        row = rows.get(each.job)
        if row is not None and _is_news(newest.get(each.job) or to_checkpoint(row), each, row):
            newest[each.job] = Checkpoint(each.blob, each.step, each.epoch, now)
        elif row is not None:
            refused.append(_ref(row, each.blob))
    named = [BlobUse(TenantId(rows[job].owner), kept.blob, job) for job, kept in newest.items()]
    await blob_uses.use_blobs(session, named)
    replaced = await _write(session, [rows[job] for job in newest], newest)
    await deletions.note_late(session, _of_nobody(told, rows))
    return await blob_uses.unused(session, [*replaced, *refused])


def _of_nobody(
    told: Sequence[LeftBehind], rows: Mapping[str, Row[Any]]
) -> dict[JobId, list[BlobId]]:
    late: dict[JobId, list[BlobId]] = {}
    for each in told:
        if each.job not in rows:
            late.setdefault(each.job, []).append(each.blob)
    return late


async def drop(session: Session, dropped: Sequence[JobId]) -> list[BlobRef]:
    rows = await _rows(session, dropped)
    return await blob_uses.unused(session, await _write(session, list(rows.values()), {}))


async def _rows(session: Session, wanted: Iterable[JobId]) -> dict[str, Row[Any]]:
    asked = [{"id": job} for job in dict.fromkeys(wanted)]
    return {row.id: row for row in await session.run_batch(_load, asked)} if asked else {}


def _is_news(known: Checkpoint | None, said: LeftBehind, row: Row[Any]) -> bool:
    if said.epoch != row.epoch or row.state not in HELD:
        return False
    return known is None or known.older_than(epoch=said.epoch, step=said.step)


async def _write(
    session: Session, rows: Sequence[Row[Any]], news: Mapping[str, Checkpoint]
) -> list[BlobRef]:
    """The new ones, or none, in the place of the old; answers those."""
    if not rows:
        return []
    put = [{"id": row.id, "checkpoint": msgspec.to_builtins(news.get(row.id))} for row in rows]
    await session.run_batch(_put, put)
    old = [(row, known) for row in rows if (known := to_checkpoint(row)) is not None]
    if old:
        gone = [{"tenant": row.owner, "blob": known.blob, "used_by": row.id} for row, known in old]
        await session.run_batch(_forget, gone)
    return [_ref(row, known.blob) for row, known in old]


def _ref(row: Row[Any], blob: BlobId) -> BlobRef:
    return BlobRef(TenantId(row.owner), blob)
