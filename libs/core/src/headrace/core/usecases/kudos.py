"""Pay for work: what a job costs is held when it is accepted, and charged or released when it ends.

Laws:
1. What is charged is what was held, and what was held is what was quoted: `Job.price`.
2. A job's price is settled once, in the transaction of its terminal state: `conclude` sees to it for
   all jobs, wherever they end, and nobody else calls `settle`.
3. Every entry moves an amount from one account to another; kudos come from the bank and go there.
4. What an account has available never falls below its floor: it is locked before that is decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from headrace.contracts.ids import KeyId, UserId
from headrace.core.errors import (
    NotEnoughKudos,
    SharedKeySpent,
    TooManyPrompts,
    TransferRefused,
    UserNotFound,
)
from headrace.core.job import Job, State
from headrace.core.kudos import in_kudos
from headrace.core.ports.dead_letters import Deed
from headrace.core.ports.store import Change, Store, Transaction
from headrace.core.ports.upkeep import Answer, Question
from headrace.core.ports.users import BANK, Entry, Reason, User, Users
from headrace.core.usecases.once import Told, once


async def hold(tx: Users, user: UserId, job: Job, amount: int) -> None:
    """For a job that this transaction has inserted with that price.

    Raises TooManyPrompts, NotEnoughKudos, SharedKeySpent: the transaction must roll back.
    """
    if amount != job.price or amount < 0:
        raise ValueError(f"job {job.id} has the price {job.price}, not {amount}")
    account = await _account(tx, user)
    # Counted behind the lock: of two that come at once, the second sees the first one's job.
    if await tx.open_paid(job.tenant, at_most=account.concurrency + 1) > account.concurrency:
        raise TooManyPrompts(account.concurrency)
    if not account.can_pay(amount):
        raise NotEnoughKudos(amount, account.spendable or 0)
    if job.api_key is not None:
        await _use_shared(tx, job.api_key, amount)
    if amount:
        await tx.post([], held={user: amount})


async def _account(tx: Users, user: UserId) -> User:
    found = await tx.accounts([user])
    if not found:
        raise UserNotFound(str(user))
    return found[0]


async def _use_shared(tx: Users, key: KeyId, amount: int) -> None:
    shared = await tx.shared_key(key)
    if shared is None:
        return  # it is the user's own
    if not shared.can_pay(amount):
        raise SharedKeySpent(amount, shared.left or 0)
    await tx.use_shared_keys({key: amount})


def charge(job: Job, user: UserId) -> Entry:
    return Entry(
        id=f"charge:{job.id}",
        reason=Reason.CHARGE,
        source=user,
        target=BANK,
        amount=job.price or 0,
        job=job.id,
    )


def reward(job: Job, owner: UserId, amount: int) -> Entry:
    """To whoever owns the worker that did it."""
    return Entry(
        id=f"reward:{job.id}",
        reason=Reason.REWARD,
        source=BANK,
        target=owner,
        amount=amount,
        job=job.id,
    )


async def settle(tx: Users, ended: Sequence[Change]) -> None:
    """What was held is held no longer: charged for jobs that succeeded, released for the others.

    A worker that somebody owns earns what its job cost.
    """
    paid = [change.before for change in ended if change.before.price]
    if not paid:
        return
    done = {change.after.id for change in ended if change.after.state is State.SUCCEEDED}
    owners = await tx.owners(sorted({job.worker for job in paid if job.worker is not None}))
    # All at once and in one order, so that dispatchers that settle do not wait for each other in a ring.
    tenants = {job.tenant for job in paid} | set(owners.values())
    accounts = {user.tenant: user.id for user in await tx.accounts(tenants=sorted(tenants))}
    entries: list[Entry] = []
    held, given_back = Counter[UserId](), Counter[KeyId]()
    for job in paid:
        price, payer = job.price or 0, accounts[job.tenant]
        held[payer] -= price
        if job.id in done:
            entries.append(charge(job, payer))
            owner = accounts.get(owners[job.worker]) if job.worker in owners else None
            if owner is not None:
                entries.append(reward(job, owner, price))
        elif job.api_key is not None:
            given_back[job.api_key] -= price
    await tx.post(entries, held=held)
    await tx.use_shared_keys(given_back)


async def transfer(
    store: Store,
    source: UserId,
    target: UserId,
    amount: int,
    idempotency_key: Question | None,
    *,
    new_id: Callable[[], str],
) -> Told:
    """Raises TransferRefused, NotEnoughKudos, UserNotFound, IdempotencyConflict."""
    if source == target:
        raise TransferRefused("nobody sends kudos to themselves")
    if amount <= 0:
        raise TransferRefused("an amount is more than nothing")

    async def do(tx: Transaction) -> Answer:
        locked = {user.id: user for user in await tx.accounts(sorted([source, target]))}
        for user in (source, target):
            if user not in locked:
                raise UserNotFound(str(user))
        if not locked[source].can_pay(amount):
            raise NotEnoughKudos(amount, locked[source].spendable or 0)
        entry = Entry(
            id=f"transfer:{new_id()}",
            reason=Reason.TRANSFER,
            source=source,
            target=target,
            amount=amount,
        )
        await tx.post([entry], held={})
        return Answer(200, msgspec.json.encode({"transferred": in_kudos(amount)}).decode())

    return await once(store, idempotency_key, do)


async def grant(tx: Transaction, user: UserId, amount: int, *, entry: str, who: str) -> None:
    """From the bank; a negative amount is taken back, down to the floor. Raises NotEnoughKudos."""
    account = await _account(tx, user)
    if not account.can_pay(-amount):
        raise NotEnoughKudos(-amount, account.spendable or 0)
    source, target = (BANK, user) if amount > 0 else (user, BANK)
    given = Entry(
        id=f"grant:{entry}", reason=Reason.GRANT, source=source, target=target, amount=abs(amount)
    )
    if amount:
        await tx.post([given], held={})
    await tx.audit([Deed(who, "user.grant", account.name, {"kudos": in_kudos(amount)})])
