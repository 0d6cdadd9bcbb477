"""Dead letters as rows: parked once, grouped by cause, settled once; and the audit of what was done."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Integer,
    Row,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from headrace.adapters.store.sql.expressions import batch, clock, ids
from headrace.adapters.store.sql.schema_around import OPEN, PLANNED, audit, dead_letters
from headrace.adapters.store.sql.schema_deletions import erased
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Instant, Name, Number, written
from headrace.contracts.ids import JobId, TenantId
from headrace.core.ports.dead_letters import (
    AuditRecord,
    DeadLetter,
    Deed,
    LetterGroup,
    LetterQuery,
    Parked,
    Settled,
    Settlement,
    Source,
)

_parked_columns: Final = (
    *("source", "message", "reason", "fingerprint", "title", "path", "queue", "tenant", "job"),
    *("headers", "body", "size"),
)
_new: Final = batch(**{name: dead_letters.c[name].type for name in _parked_columns})
_bury: Final = (
    insert(dead_letters)
    .from_select(
        [*_parked_columns, "parked_at"],
        # Of a job that somebody had erased nothing comes back.
        select(*(_new.c[name] for name in _parked_columns), clock()).where(
            ~select(erased.c.job).where(erased.c.job == _new.c.job).exists()
        ),
    )
    .on_conflict_do_nothing()
    .returning(dead_letters.c.number)
)


async def bury(session: Session, letters: Sequence[DeadLetter]) -> int:
    if not letters:
        return 0
    rows = sorted((_row(letter) for letter in letters), key=lambda row: row["message"])
    return len((await session.run_batch(_bury, rows)).all())


def _row(letter: DeadLetter) -> dict[str, Any]:
    return {
        "source": letter.source,
        "message": letter.message,
        "reason": letter.reason,
        "fingerprint": letter.fingerprint,
        "title": letter.title,
        "path": letter.path,
        "queue": letter.queue,
        "tenant": letter.tenant,
        "job": letter.job,
        "headers": dict(letter.headers),
        "body": base64.b64encode(letter.body).decode(),
        "size": letter.size,
    }


_first, _last = func.min(dead_letters.c.parked_at), func.max(dead_letters.c.parked_at)
_groups: Final = (
    select(
        dead_letters.c.fingerprint,
        func.max(dead_letters.c.source).label("source"),
        func.max(dead_letters.c.title).label("title"),
        func.count().label("many"),
        _first.label("first_at"),
        _last.label("last_at"),
    )
    .where(text(OPEN))
    .group_by(dead_letters.c.fingerprint)
    .order_by(_last.desc(), dead_letters.c.fingerprint)
    .limit(bindparam("limit", type_=Integer))
)


async def letter_groups(session: Session, limit: int) -> list[LetterGroup]:
    return [
        LetterGroup(
            row.fingerprint, Source(row.source), row.title, row.many, row.first_at, row.last_at
        )
        for row in await session.run(_groups, limit=limit)
    ]


_listed: Final = (
    *(column for column in dead_letters.c if column.name != "body"),
    literal_column("''").label("body"),
)


async def letters(session: Session, query: LetterQuery) -> list[Parked]:
    newest_first = _narrowed(select(*_listed), query).order_by(dead_letters.c.number.desc())
    return [_to_parked(row) for row in await session.run(newest_first.limit(query.limit))]


def _narrowed(wanted: Select[Any], query: LetterQuery) -> Select[Any]:
    wanted = wanted.where(dead_letters.c.settled_at.is_not(None) if query.settled else text(OPEN))
    for name in ("fingerprint", "source", "queue", "tenant"):
        if (value := getattr(query, name)) is not None:
            wanted = wanted.where(dead_letters.c[name] == value)
    if query.unplanned:
        wanted = wanted.where(dead_letters.c.replay_at.is_(None))
    if query.before is not None:
        wanted = wanted.where(dead_letters.c.number < query.before)
    return wanted


_one: Final = (
    select(dead_letters)
    .where(dead_letters.c.number == bindparam("number", type_=Number))
    .with_for_update()
)


async def letter(session: Session, number: int) -> Parked | None:
    row = (await session.run(_one, number=number)).one_or_none()
    return None if row is None else _to_parked(row)


_of_jobs: Final = (
    select(*_listed)
    .where(text(OPEN), dead_letters.c.source == Source.JOB, dead_letters.c.job.in_(ids))
    .order_by(dead_letters.c.number)
    .with_for_update(skip_locked=True)
)


async def letters_of(session: Session, jobs: Sequence[JobId]) -> list[Parked]:
    if not jobs:
        return []
    rows = await session.run_batch(_of_jobs, [{"id": job} for job in jobs])
    return [_to_parked(row) for row in rows]


_plans: Final = batch(number=Number, replay_at=Instant)
_plan: Final = (
    update(dead_letters)
    .where(dead_letters.c.number == _plans.c.number, text(OPEN), dead_letters.c.replay_at.is_(None))
    .values(replay_at=_plans.c.replay_at, settled_by=bindparam("who"))
    .returning(dead_letters.c.number)
)


async def plan_replays(session: Session, times: Mapping[int, datetime], who: str) -> list[int]:
    if not times:
        return []
    rows = [{"number": number, "replay_at": written(times[number])} for number in sorted(times)]
    session.stirred = True
    return [row.number for row in await session.run_batch(_plan, rows, who=who)]


_latest: Final = select(func.max(dead_letters.c.replay_at)).where(text(PLANNED))


async def last_replay(session: Session) -> datetime | None:
    found: datetime | None = (await session.run(_latest)).scalar_one()
    return found


_due: Final = (
    select(dead_letters)
    .where(
        text(PLANNED),
        dead_letters.c.path == bindparam("path", type_=Name),
        dead_letters.c.replay_at <= clock(),
    )
    .order_by(dead_letters.c.replay_at)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
)


async def due_replays(session: Session, path: str, limit: int) -> list[Parked]:
    return [_to_parked(row) for row in await session.run(_due, path=path, limit=limit)]


_numbers: Final = batch(number=Number)
_postpone: Final = (
    update(dead_letters)
    .where(dead_letters.c.number.in_(select(_numbers.c.number)), text(OPEN))
    .values(replay_at=bindparam("until", type_=Instant))
)


async def postpone_replays(session: Session, numbers: Sequence[int], until: datetime) -> None:
    if numbers:
        rows = [{"number": number} for number in numbers]
        await session.run_batch(_postpone, rows, until=until)


_settled: Final = batch(
    **{
        name: dead_letters.c[name].type
        for name in ("number", "settled", "settled_by", "retried_as")
    }
)
_settle: Final = (
    update(dead_letters)
    .where(dead_letters.c.number == _settled.c.number, text("dead_letters.settled_at IS NULL"))
    .values(
        settled_at=clock(),
        settled=_settled.c.settled,
        settled_by=_settled.c.settled_by,
        retried_as=_settled.c.retried_as,
    )
    .returning(dead_letters.c.number)
)


async def settle_letters(session: Session, settlements: Sequence[Settlement]) -> list[int]:
    if not settlements:
        return []
    rows = [
        {
            "number": each.number,
            "settled": each.how,
            "settled_by": each.who,
            "retried_as": each.retried_as,
        }
        for each in sorted(settlements, key=lambda each: each.number)
    ]
    return [row.number for row in await session.run_batch(_settle, rows)]


def _to_parked(row: Row[Any]) -> Parked:
    return Parked(
        number=row.number,
        letter=DeadLetter(
            source=Source(row.source),
            message=row.message,
            reason=row.reason,
            fingerprint=row.fingerprint,
            title=row.title,
            path=row.path,
            queue=row.queue,
            tenant=None if row.tenant is None else TenantId(row.tenant),
            job=None if row.job is None else JobId(row.job),
            headers=row.headers,
            body=base64.b64decode(row.body),
            size=row.size,
        ),
        parked_at=row.parked_at,
        replay_at=row.replay_at,
        settled_at=row.settled_at,
        settled=None if row.settled is None else Settled(row.settled),
        settled_by=row.settled_by,
        retried_as=None if row.retried_as is None else JobId(row.retried_as),
    )


_deed_columns: Final = ("who", "action", "subject", "detail")
_deeds: Final = batch(**{name: audit.c[name].type for name in _deed_columns})
_note: Final = insert(audit).from_select(
    [*_deed_columns, "at"], select(*(_deeds.c[name] for name in _deed_columns), clock())
)


async def note(session: Session, deeds: Sequence[Deed]) -> None:
    rows = [
        {"who": deed.who, "action": deed.action, "subject": deed.subject, "detail": deed.detail}
        for deed in deeds
    ]
    if rows:
        await session.run_batch(_note, rows)


async def audited(session: Session, before: int | None, limit: int) -> list[AuditRecord]:
    wanted = select(audit).order_by(audit.c.number.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(audit.c.number < before)
    return [
        AuditRecord(row.number, row.at, Deed(row.who, row.action, row.subject, row.detail))
        for row in await session.run(wanted)
    ]
