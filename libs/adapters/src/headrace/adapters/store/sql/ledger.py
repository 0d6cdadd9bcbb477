"""The ledger: entries as pairs of postings, and the balances that are their sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, Select, bindparam, func, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from headrace.adapters.store.sql.expressions import batch, clock
from headrace.adapters.store.sql.schema import PAID, jobs
from headrace.adapters.store.sql.schema_users import ABOVE_FLOOR, postings, users
from headrace.adapters.store.sql.session import Session
from headrace.adapters.store.sql.types import Number
from headrace.contracts.ids import JobId, UserId
from headrace.core.errors import WrongEntry
from headrace.core.ports.users import BANK, Discrepancies, Entry, Posting, Reason

_SIDES: Final = 2
_columns: Final = ("entry", "account", "counter", "amount", "reason", "job")
_new: Final = batch(**{name: postings.c[name].type for name in _columns})
# Not ON CONFLICT: an entry that is there already was decided twice, and nothing of this may hold.
_insert: Final = insert(postings).from_select(
    [*_columns, "at"], select(*(_new.c[name] for name in _columns), clock()).where(true())
)
_moved: Final = batch(number=Number, balance=Number, held=Number)
_move: Final = (
    update(users)
    .where(users.c.number == _moved.c.number)
    .values(balance=users.c.balance + _moved.c.balance, held=users.c.held + _moved.c.held)
)
_latest: Final = (
    select(postings)
    .where(postings.c.account == bindparam("account", type_=Number))
    .order_by(postings.c.at.desc(), postings.c.entry.desc())
    .limit(bindparam("limit"))
)


async def post(session: Session, entries: Sequence[Entry], held: Mapping[UserId, int]) -> None:
    try:
        await _post(session, entries, held)
    except IntegrityError as error:
        raise WrongEntry(
            "an entry is there already, or an account would fall below its floor"
        ) from error


async def _post(session: Session, entries: Sequence[Entry], held: Mapping[UserId, int]) -> None:
    if entries:
        await session.run_batch(_insert, [side for entry in entries for side in _sides(entry)])
    balances: dict[UserId, int] = {}
    for entry in entries:
        balances[entry.source] = balances.get(entry.source, 0) - entry.amount
        balances[entry.target] = balances.get(entry.target, 0) + entry.amount
    numbers = sorted((balances.keys() | held.keys()) - {BANK})
    if numbers:
        rows = [
            {"number": each, "balance": balances.get(each, 0), "held": held.get(each, 0)}
            for each in numbers
        ]
        await session.run_batch(_move, rows)


def _sides(entry: Entry) -> list[dict[str, Any]]:
    if entry.amount <= 0 or entry.source == entry.target:
        raise ValueError(f"entry {entry.id} moves nothing")
    common = {"entry": entry.id, "reason": entry.reason, "job": entry.job}
    left = {"account": entry.source, "counter": entry.target, "amount": -entry.amount}
    came = {"account": entry.target, "counter": entry.source, "amount": entry.amount}
    return [common | left, common | came]


async def latest(session: Session, user: UserId, limit: int) -> list[Posting]:
    return [_to_posting(row) for row in await session.run(_latest, account=user, limit=limit)]


def _to_posting(row: Row[Any]) -> Posting:
    return Posting(
        entry=row.entry,
        reason=Reason(row.reason),
        account=UserId(row.account),
        counter=UserId(row.counter),
        amount=row.amount,
        job=None if row.job is None else JobId(row.job),
        at=row.at,
    )


_total: Final = select(func.coalesce(func.sum(postings.c.amount), 0))
_lame: Final = select(func.count()).select_from(
    select(postings.c.entry)
    .group_by(postings.c.entry)
    .having(or_(func.count() != _SIDES, func.sum(postings.c.amount) != 0))
    .subquery()
)
_booked: Final = (
    select(postings.c.account, func.sum(postings.c.amount).label("sum"))
    .group_by(postings.c.account)
    .subquery()
)
_wrong_balances: Final = (
    select(func.count())
    .select_from(users.outerjoin(_booked, _booked.c.account == users.c.number))
    .where(users.c.balance != func.coalesce(_booked.c.sum, 0))
)
_priced: Final = (
    select(jobs.c.tenant, func.sum(jobs.c.price).label("sum"))
    .where(text(PAID))
    .group_by(jobs.c.tenant)
    .subquery()
)
_wrong_holds: Final = (
    select(func.count())
    .select_from(users.outerjoin(_priced, _priced.c.tenant == users.c.tenant))
    .where(users.c.held != func.coalesce(_priced.c.sum, 0))
)
_below: Final = select(func.count()).select_from(users).where(text(f"NOT ({ABOVE_FLOOR})"))


async def audit(session: Session) -> Discrepancies:
    async def one(question: Select[Any]) -> int:
        return int((await session.run(question)).scalar_one())

    return Discrepancies(
        total=await one(_total),
        lame_entries=await one(_lame),
        wrong_balances=await one(_wrong_balances),
        wrong_holds=await one(_wrong_holds),
        below_floor=await one(_below),
    )
