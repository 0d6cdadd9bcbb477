"""Gangs over several workers: the rows that gather, and who is in them.

The order of locks is that of all moves: the jobs first, then what belongs to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Integer,
    Row,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import batch, clock, ids
from headrace.adapters.store.sql.schema import (
    GANGS,
    HELD,
    attempts,
    gang_members,
    jobs,
    lanes,
    outbox,
)
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name, written
from headrace.contracts.ids import ClaimId, JobId, Lane, TenantId, WorkerId
from headrace.core.job import Job, State
from headrace.core.ports.gangs import GangMember, Gathering
from headrace.core.ports.store import Renewal

_row: Final = tuple(
    outbox.c[name] for name in ("job", "epoch", "tenant", "trace", "lane", "reserved_until")
)
_on_path: Final = (text(GANGS), outbox.c.path == bindparam("path", type_=Name))
_gathering: Final = (
    select(*_row).where(*_on_path, outbox.c.reserved_until > clock()).order_by(outbox.c.number)
)
_paused: Final = select(lanes.c.name).where(
    lanes.c.name == outbox.c.lane, lanes.c.paused_at.is_not(None)
)
_rested: Final = or_(
    outbox.c.reserved_until.is_(None),
    outbox.c.reserved_until <= bindparam("rested", type_=Instant),
)
_next: Final = (
    select(*_row)
    .where(*_on_path, _rested, ~_paused.exists())
    .order_by(outbox.c.since, outbox.c.number)
    .limit(bindparam("limit", type_=Integer))
)


async def gathering(session: Session, path: str) -> list[Gathering]:
    return [_to_gathering(row) for row in await session.run(_gathering, path=path)]


async def next_gangs(session: Session, path: str, rest: timedelta, limit: int) -> list[Gathering]:
    rested = await session.now() - rest
    rows = await session.run(_next, path=path, rested=rested, limit=limit)
    return [_to_gathering(row) for row in rows]


def _to_gathering(row: Row[Any]) -> Gathering:
    return Gathering(
        job=JobId(row.job),
        epoch=row.epoch,
        tenant=TenantId(row.tenant),
        trace=row.trace,
        lane=Lane(row.lane),
        until=row.reserved_until,
    )


_joining: Final = ("job", "worker", "epoch", "claim", "reply_to", "at", "until")
_joiners: Final = batch(**{name: gang_members.c[name].type for name in _joining})
_insert: Final = insert(gang_members).from_select(
    [*_joining, "joined_at"],
    select(*(_joiners.c[name] for name in _joining), clock()).where(true()),
)
_join: Final = _insert.on_conflict_do_update(
    index_elements=[gang_members.c.job, gang_members.c.worker],
    set_={name: _insert.excluded[name] for name in ("epoch", "claim", "reply_to", "at", "until")},
    where=gang_members.c.rank.is_(None),
)
_members: Final = (
    select(gang_members)
    .where(gang_members.c.job.in_(ids))
    .order_by(gang_members.c.rank, gang_members.c.joined_at, gang_members.c.worker)
)


async def join(session: Session, member: GangMember) -> None:
    row = {name: getattr(member, name) for name in _joining} | {"until": written(member.until)}
    await session.run_batch(_join, [row])


async def members(session: Session, wanted: Sequence[JobId]) -> dict[JobId, list[GangMember]]:
    found: dict[JobId, list[GangMember]] = {}
    if wanted:
        for row in await session.run_batch(_members, [{"id": job} for job in wanted]):
            found.setdefault(JobId(row.job), []).append(_to_member(row))
    return found


def _to_member(row: Row[Any]) -> GangMember:
    return GangMember(
        job=JobId(row.job),
        worker=WorkerId(row.worker),
        epoch=row.epoch,
        claim=ClaimId(row.claim),
        reply_to=row.reply_to,
        at=row.at,
        until=row.until,
        rank=row.rank,
    )


_ranks: Final = batch(job=Name, worker=Name, epoch=Integer, rank=Integer)
_appoint: Final = (
    update(gang_members)
    .where(gang_members.c.job == _ranks.c.job, gang_members.c.worker == _ranks.c.worker)
    .values(epoch=_ranks.c.epoch, rank=_ranks.c.rank, until=bindparam("lease", type_=Instant))
)
_whose: Final = batch(job=Name, attempt=Integer, members=attempts.c.members.type)
_remember: Final = (
    update(attempts)
    .where(attempts.c.job == _whose.c.job, attempts.c.attempt == _whose.c.attempt)
    .values(members=_whose.c.members)
)
_waits: Final = gang_members.c.rank.is_(None)
_disband_waiting: Final = delete(gang_members).where(gang_members.c.job.in_(ids), _waits)
_disband: Final = delete(gang_members).where(gang_members.c.job.in_(ids))
_quit: Final = delete(gang_members).where(
    gang_members.c.worker == bindparam("who", type_=Name), _waits
)


async def appoint(session: Session, job: Job, ranked: Sequence[WorkerId], until: datetime) -> None:
    rows = [
        {"job": job.id, "worker": worker, "epoch": job.epoch, "rank": rank}
        for rank, worker in enumerate(ranked)
    ]
    await session.run_batch(_appoint, rows, lease=until)
    await session.run_batch(_disband_waiting, [{"id": job.id}])
    run_by = {"job": job.id, "attempt": job.attempt, "members": list(ranked)}
    await session.run_batch(_remember, [run_by])


async def quit_gangs(session: Session, worker: WorkerId) -> None:
    await session.run(_quit, who=worker)


async def disband(session: Session, gone: Sequence[JobId]) -> None:
    if gone:
        await session.run_batch(_disband, [{"id": job} for job in gone])


_asked: Final = batch(id=jobs.c.id.type, epoch=jobs.c.epoch.type)
_held: Final = (
    select(jobs.c.id, jobs.c.epoch, jobs.c.state)
    .join(_asked, and_(jobs.c.id == _asked.c.id, jobs.c.epoch == _asked.c.epoch))
    .where(jobs.c.nodes.is_not(None), text(HELD))
    .order_by(jobs.c.id)
    .with_for_update(of=jobs)
)
_renew: Final = (
    update(gang_members)
    .where(
        gang_members.c.job == _asked.c.id,
        gang_members.c.epoch == _asked.c.epoch,
        gang_members.c.worker == bindparam("held_by", type_=Name),
        gang_members.c.rank.is_not(None),
    )
    .values(until=bindparam("until", type_=Instant))
    .returning(gang_members.c.job, gang_members.c.rank)
)
_first_to_end: Final = (
    select(func.min(gang_members.c.until))
    .where(gang_members.c.job == jobs.c.id, gang_members.c.rank.is_not(None))
    .correlate(jobs)
    .scalar_subquery()
)
_said: Final = batch(id=jobs.c.id.type, progress=jobs.c.progress.type)
_keep: Final = (
    update(jobs)
    .where(jobs.c.id == _said.c.id)
    .values(
        lease_until=_first_to_end,
        progress=func.coalesce(_said.c.progress, jobs.c.progress),
    )
)


async def renew(
    session: Session, renewals: Sequence[Renewal], worker: WorkerId, until: datetime
) -> dict[tuple[str, int], State]:
    """Those of `renewals` that a member of their gang asks for."""
    asked = [{"id": each.job, "epoch": each.epoch} for each in renewals]
    held = {row.id: row for row in await session.run_batch(_held, asked)}
    if not held:
        return {}
    ours = [{"id": row.id, "epoch": row.epoch} for row in held.values()]
    answer = await session.run_batch(_renew, ours, held_by=worker, until=until)
    ranks = {row.job: row.rank for row in answer}
    said = {each.job: each.progress for each in renewals}
    kept = [
        {"id": job, "progress": said[JobId(job)] if rank == 0 else None}
        for job, rank in ranks.items()
    ]
    if kept:
        await session.run_batch(_keep, kept)
    return {(job, held[job].epoch): State(held[job].state) for job in ranks}
