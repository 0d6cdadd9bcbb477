"""Moving jobs from state to state: load, save under guard, renew, ask to cancel.

Several dispatchers share one order of locks, so that they never wait for each other in a ring:
first jobs by id, then the outbox rows of jobs that are held already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, and_, bindparam, delete, func, or_, select, text, update

from headrace.adapters.store.sql import calls, gangs
from headrace.adapters.store.sql.expressions import (
    batch,
    clock,
    ids,
    literally,
    stamped,
    waits_until,
)
from headrace.adapters.store.sql.rows import change_row, to_job
from headrace.adapters.store.sql.schema import HELD, jobs, outbox
from headrace.adapters.store.sql.schema_webhooks import ENABLED, webhook_endpoints
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.submitting import into_outbox
from headrace.adapters.store.sql.types import Instant
from headrace.contracts.ids import JobId, TenantId, WorkerId
from headrace.core.job import HELD as HELD_STATES
from headrace.core.job import TERMINAL, Job, State
from headrace.core.ports.store import Change, Renewal
from headrace.core.webhooks import Happened, event_type

_load: Final = select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id).with_for_update()

_written: Final = (
    *("state", "epoch", "attempt", "failures", "losses", "worker", "claim", "lease_until"),
    *("progress", "output", "error", "attempt_trace"),
)
_terminal: Final = [literally(state) for state in sorted(TERMINAL)]
_changes: Final = batch(
    id=jobs.c.id.type,
    from_state=jobs.c.state.type,
    from_epoch=jobs.c.epoch.type,
    not_before=jobs.c.not_before.type,
    cancel_asked_at=jobs.c.cancel_asked_at.type,
    **{name: jobs.c[name].type for name in _written},
)
# Whether anybody may want to be told: asked along the way, so that where nobody does it costs no question.
_is_heard: Final = or_(
    jobs.c.webhook.is_not(None),
    select(webhook_endpoints.c.id)
    .where(text(ENABLED), webhook_endpoints.c.tenant == jobs.c.tenant)
    .correlate(jobs)
    .exists(),
)
_save: Final = (
    update(jobs)
    .where(
        jobs.c.id == _changes.c.id,
        jobs.c.state == _changes.c.from_state,
        jobs.c.epoch == _changes.c.from_epoch,
    )
    .values(
        {
            **{jobs.c[name]: _changes.c[name] for name in _written},
            jobs.c.not_before: waits_until(_changes),
            # A wish that came after the job was read must not be unwished by saving it.
            jobs.c.cancel_asked_at: func.coalesce(
                jobs.c.cancel_asked_at, _changes.c.cancel_asked_at
            ),
            jobs.c.started_at: stamped(
                jobs.c.started_at, when=_changes.c.state == literally(State.RUNNING)
            ),
            jobs.c.finished_at: stamped(jobs.c.finished_at, when=_changes.c.state.in_(_terminal)),
        }
    )
    .returning(
        *(jobs.c[name] for name in ("number", "id", "epoch", "tenant", "lane", "path")),
        *(jobs.c[name] for name in ("priority", "trace", "state", "created_at", "started_at")),
        jobs.c.wants,
        jobs.c.nodes,
        jobs.c.finished_at,
        _is_heard.label("heard"),
    )
)

# PostgreSQL does all three at once; SQLite, which is a function call away, one after the other.
_saved: Final = _save.cte("saved")
_left: Final = delete(outbox).where(
    outbox.c.job.in_(select(_saved.c.id).where(_saved.c.state != literally(State.QUEUED)))
)
_told: Final = ("id", "started_at", "finished_at", "heard")
_save_all: Final = select(*(_saved.c[name] for name in _told)).add_cte(
    _left.cte("gone"), into_outbox(_saved).cte("offers")
)
_leave: Final = delete(outbox).where(outbox.c.job.in_(ids))
_queue: Final = into_outbox(select(jobs).where(jobs.c.id.in_(ids)).subquery("saved"))


async def load(session: Session, wanted: Sequence[JobId]) -> dict[JobId, Job]:
    if not wanted:
        return {}
    rows = await session.run_batch(_load, [{"id": job} for job in wanted])
    return {JobId(row.id): to_job(row) for row in rows}


async def save(session: Session, changes: Sequence[Change]) -> list[bool]:
    """Two changes of one job in one call are two rounds, so that the second meets the first."""
    won: list[bool] = [False] * len(changes)
    for turn in _rounds(changes):
        saved = await _save_round(session, [changes[place] for place in turn])
        for place in turn:
            won[place] = changes[place].before.id in saved
    return won


def _rounds(changes: Sequence[Change]) -> list[list[int]]:
    rounds: list[list[int]] = []
    seen: dict[JobId, int] = {}
    for place, change in enumerate(changes):
        turn = seen.get(change.before.id, 0)
        seen[change.before.id] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(place)
    return rounds


async def _save_round(session: Session, changes: Sequence[Change]) -> set[str]:
    rows = [change_row(change) for change in sorted(changes, key=lambda each: each.before.id)]
    statement = _save_all if session.postgresql else _save
    saved = {row.id: row for row in await session.run_batch(statement, rows)}
    if not session.postgresql:
        await _mind_the_outbox(session, (change for change in changes if change.before.id in saved))
    await calls.write_down(session, await _happened(session, changes, saved))
    await gangs.disband(session, [change.before.id for change in changes if _is_let_go(change)])
    session.stirred |= any(
        change.after.state is State.QUEUED and change.before.id in saved for change in changes
    )
    return set(saved)


def _is_let_go(change: Change) -> bool:
    """Whoever saved first has disbanded it too, so whether this was saved is no matter."""
    return change.before.spec.nodes > 1 and change.after.state not in HELD_STATES


async def _happened(
    session: Session, changes: Sequence[Change], saved: Mapping[str, Row[Any]]
) -> list[Happened]:
    """What somebody may want to be told of, with the times that the store has just set."""
    happened: list[Happened] = []
    for change in changes:
        row = saved.get(change.before.id)
        said = event_type(change.before.state, change.after.state)
        if row is None or said is None or not row.heard:
            continue
        job = replace(change.after, started_at=row.started_at, finished_at=row.finished_at)
        happened.append(Happened(said, job, await session.now()))
    return happened


async def _mind_the_outbox(session: Session, saved: Iterable[Change]) -> None:
    left: list[dict[str, str]] = []
    entered: list[dict[str, str]] = []
    for change in saved:
        if change.after.state is State.QUEUED:
            entered.append({"id": change.before.id})
        elif change.before.state is State.QUEUED:
            left.append({"id": change.before.id})
    if left:
        await session.run_batch(_leave, left)
    if entered:
        await session.run_batch(_queue, entered)


_renewals: Final = batch(id=jobs.c.id.type, epoch=jobs.c.epoch.type, progress=jobs.c.progress.type)
_ours: Final = (
    select(jobs.c.number, _renewals.c.progress)
    .join(_renewals, and_(jobs.c.id == _renewals.c.id, jobs.c.epoch == _renewals.c.epoch))
    .where(jobs.c.worker == bindparam("held_by"), jobs.c.nodes.is_(None), text(HELD))
    .order_by(jobs.c.id)
    .with_for_update(of=jobs)
    .cte("ours")
)
_renew: Final = (
    update(jobs)
    .where(jobs.c.number == _ours.c.number)
    .values(
        lease_until=bindparam("until", type_=Instant),
        progress=func.coalesce(_ours.c.progress, jobs.c.progress),
    )
    .returning(jobs.c.id, jobs.c.epoch, jobs.c.state)
)


async def renew(
    session: Session, renewals: Sequence[Renewal], worker: WorkerId, until: datetime
) -> list[State | None]:
    if not renewals:
        return []
    rows = [{"id": each.job, "epoch": each.epoch, "progress": each.progress} for each in renewals]
    answer = await session.run_batch(_renew, rows, held_by=worker, until=until)
    held = {(row.id, row.epoch): State(row.state) for row in answer}
    if others := [each for each in renewals if (each.job, each.epoch) not in held]:
        held |= await gangs.renew(session, others, worker, until)
    return [held.get((each.job, each.epoch)) for each in renewals]


_mine: Final = (
    jobs.c.tenant == bindparam("owner"),
    jobs.c.id == bindparam("job"),
)
_find: Final = select(jobs).where(*_mine)
_wish: Final = (
    update(jobs)
    .where(
        *_mine,
        jobs.c.cancel_asked_at.is_(None),
        jobs.c.state.not_in(_terminal),
    )
    .values(
        cancel_asked_at=clock(), cancel_reason=bindparam("reason", type_=jobs.c.cancel_reason.type)
    )
    .returning(jobs)
)


async def ask_cancel(
    session: Session, tenant: TenantId, job: JobId, reason: str | None
) -> Job | None:
    """A wish is recorded once and only while it can still be granted."""
    if "\0" in job or "\0" in tenant:
        return None
    wished = (await session.run(_wish, owner=tenant, job=job, reason=reason)).one_or_none()
    session.stirred |= wished is not None
    row = wished or (await session.run(_find, owner=tenant, job=job)).one_or_none()
    return None if row is None else to_job(row)
