"""Kudos under load: many spend and send at once, on real databases, and the books are in order."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any
from uuid import uuid4  # noqa: TID251  # tests make ids of their own

from headrace.adapters.store.sql import SqlStore, open_sql_store
from headrace.contracts.ids import TenantId, UserId, WorkerId
from headrace.core.errors import HeadraceError, NotEnoughKudos, SharedKeySpent, TooManyPrompts
from headrace.core.job import Event, Job, advance
from headrace.core.ports.remotes import RemoteWorker
from headrace.core.ports.store import Change, Created, NewJob
from headrace.core.ports.upkeep import Question
from headrace.core.ports.users import SharedKey, User
from headrace.core.usecases.conclude import conclude
from headrace.core.usecases.kudos import grant, hold, transfer
from headrace.testkit.builders import a_job, a_user, an_api_key

SPENDERS = 50


async def a_kept_user(
    store: SqlStore, *, has: int = 0, floor: int = 0, concurrency: int = 10**6
) -> User:
    async with store.begin() as tx:
        user = await tx.insert_user(a_user(floor=floor, concurrency=concurrency))
        assert user is not None
        await grant(tx, user.id, has, entry=str(uuid4()), who="test")
    return user


async def ask(store: SqlStore, user: User, price: int, **fields: Any) -> Job:
    async with store.begin() as tx:
        new = NewJob(a_job(tenant=user.tenant, price=price, **fields))
        (made,) = await tx.insert([new])
        assert isinstance(made, Created)
        await hold(tx, user.id, made.job, price)
    return made.job


async def end(store: SqlStore, job: Job, *, well: bool, worker: str = "w") -> None:
    async with store.begin() as tx:
        before = (await tx.load([job.id]))[job.id]
        held = replace(advance(before, Event.GRANTED)[1], worker=WorkerId(worker))
        assert await conclude(tx, [Change(before, held)]) == [True]
        after = advance(held, Event.FINISHED if well else Event.FAILED)[1]
        await conclude(tx, [Change(held, after), Change(held, after)])  # a twin, which is too late


async def own(store: SqlStore, worker: str, tenant: TenantId) -> None:
    async with store.begin() as tx:
        await tx.enlist(
            [RemoteWorker(id=WorkerId(worker), name=worker, tenant=tenant, kind="image")]
        )


async def has(store: SqlStore, user: User) -> User:
    async with store.begin() as tx:
        found = await tx.user(user.id)
    assert found is not None
    return found


async def in_order(store: SqlStore) -> bool:
    async with store.begin() as tx:
        return (await tx.audit_ledger()).none


async def at_once(*asked: object) -> Counter[str]:
    """How they ended, by the name of what was raised, or 'done'."""
    ended = Counter[str]()

    async def one(work: object) -> None:
        try:
            await work  # type: ignore[misc]  # a coroutine
        except HeadraceError as error:
            ended[type(error).__name__] += 1
        else:
            ended["done"] += 1

    async with asyncio.TaskGroup() as group:
        for work in asked:
            group.create_task(one(work))
    return ended


async def test_who_can_pay_for_twenty_of_fifty_gets_twenty(store: SqlStore) -> None:
    user = await a_kept_user(store, has=950, floor=-50)

    ended = await at_once(*(ask(store, user, 50) for _ in range(SPENDERS)))

    assert ended == {"done": 20, NotEnoughKudos.__name__: 30}
    assert (await has(store, user)).spendable == 0
    assert await in_order(store)


async def test_fifty_that_come_at_once_are_no_more_than_a_user_may_have(store: SqlStore) -> None:
    user = await a_kept_user(store, concurrency=7)

    ended = await at_once(*(ask(store, user, 0) for _ in range(SPENDERS)))

    assert ended == {"done": 7, TooManyPrompts.__name__: 43}


async def test_a_shared_key_pays_no_more_than_it_may(store: SqlStore) -> None:
    user = await a_kept_user(store, has=10_000)
    key = an_api_key(tenant=user.tenant, scopes=frozenset())
    async with store.begin() as tx:
        await tx.insert_key(key, str(uuid4()))
        await tx.insert_shared_key(SharedKey(id=key.id, owner=user.id, name="", kudos=300))

    ended = await at_once(*(ask(store, user, 50, api_key=key.id) for _ in range(SPENDERS)))

    assert ended == {"done": 6, SharedKeySpent.__name__: 44}
    assert (await has(store, user)).held == 300


async def test_transfers_in_a_circle_lose_nothing_and_wait_in_no_ring(store: SqlStore) -> None:
    users = [await a_kept_user(store, has=100) for _ in range(5)]
    pairs = [(users[n % 5], users[(n + 1 + n % 4) % 5]) for n in range(SPENDERS)]

    ended = await at_once(
        *(
            transfer(store, one.id, other.id, 30, None, new_id=lambda: str(uuid4()))
            for one, other in pairs
        )
    )

    assert set(ended) <= {"done", NotEnoughKudos.__name__}
    assert sum([(await has(store, user)).balance for user in users]) == 500
    assert await in_order(store)


async def test_a_transfer_that_is_sent_fifty_times_happens_once(store: SqlStore) -> None:
    one, other = await a_kept_user(store, has=100), await a_kept_user(store)
    question = Question(one.tenant, "kudos/transfer", "key", "the same request")

    ended = await at_once(
        *(
            transfer(store, one.id, other.id, 30, question, new_id=lambda: str(uuid4()))
            for _ in range(SPENDERS)
        )
    )

    assert ended == {"done": SPENDERS}
    assert ((await has(store, one)).balance, (await has(store, other)).balance) == (70, 30)


async def test_fifty_spend_and_send_at_once_and_the_books_are_in_order(
    store: SqlStore, url: str
) -> None:
    """As two processes would: they share no gate, only the file or the server."""
    users = [await a_kept_user(store, has=2000, floor=-100 * n) for n in range(8)]
    watching = asyncio.Event()
    lowest: list[int] = []

    async def spend(mine: SqlStore, random: Random) -> None:
        for _ in range(4):
            one, other = random.sample(users, 2)
            try:
                if random.random() < 0.4:
                    amount = random.randint(1, 900)
                    await transfer(
                        mine, one.id, other.id, amount, None, new_id=lambda: str(uuid4())
                    )
                else:
                    job = await ask(mine, one, random.randint(0, 700))
                    await end(mine, job, well=random.random() < 0.6)
            except NotEnoughKudos:
                continue

    async def watch() -> None:
        while not watching.is_set():
            async with store.begin() as tx:
                found = await tx.users(after=UserId(0), limit=100)
            lowest.extend(user.spendable for user in found if user.spendable is not None)
            await asyncio.sleep(0)

    async with open_sql_store(url) as second, asyncio.TaskGroup() as group:
        group.create_task(watch())
        async with asyncio.TaskGroup() as spenders:
            for n in range(SPENDERS):
                spenders.create_task(spend(second if n % 2 else store, Random(n)))
        watching.set()

    assert min(lowest) >= 0
    assert all([(await has(store, user)).held == 0 for user in users])
    assert await in_order(store)


async def test_a_worker_that_somebody_owns_earns_what_its_job_cost(store: SqlStore) -> None:
    payer, owner = await a_kept_user(store, has=500), await a_kept_user(store)
    job = await ask(store, payer, 120)
    await own(store, "theirs", owner.tenant)

    await end(store, job, well=True, worker="theirs")

    assert ((await has(store, payer)).balance, (await has(store, owner)).balance) == (380, 120)
    assert await in_order(store)
