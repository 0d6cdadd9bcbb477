"""Remote workers that ask at once are let in together, and again without a question for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any, cast

import pytest

from headrace.contracts.ids import TenantId, UserId
from headrace.core.errors import Unavailable
from headrace.core.ports.store import Store, Transaction
from headrace.core.ports.users import User
from headrace.core.roll import KNOWN_S, MOST_OF_ONE_OWNER, Asks, Enlisted, Roll

OWNER = TenantId("owner")


@dataclass
class Counted:
    """A store that counts its transactions."""

    store: Store
    begun: int = 0
    away: bool = False

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Transaction]:
        self.begun += 1
        await asyncio.sleep(0)  # as any database lets others go on
        if self.away:
            raise Unavailable("the database", "it is away")
        async with self.store.begin() as tx:
            yield tx


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def counted(store: Store) -> Counted:
    return Counted(store)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def roll(counted: Counted, clock: Clock) -> Roll:
    numbers = count()
    return Roll(cast("Any", counted), new_id=lambda: f"id-{next(numbers)}", monotonic=clock)


def asks(name: str = "drawer", tenant: TenantId = OWNER, kind: str = "image") -> Asks:
    return Asks(name, tenant, kind, b'{"models":["m"]}')


def a_user(tenant: TenantId, alias: str, *, trusted: bool = False) -> User:
    return User(id=UserId(0), tenant=tenant, alias=alias, concurrency=10, trusted=trusted)


async def called(roll: Roll, *asked: Asks) -> list[Enlisted]:
    """All of them in the same turn of the loop."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(roll.call(each)) for each in asked]
    return [task.result() for task in tasks]


async def test_two_hundred_who_ask_at_once_share_two_transactions(
    roll: Roll, counted: Counted
) -> None:
    asked = [asks(f"worker-{n}", TenantId(f"owner-{n // 20}")) for n in range(200)]

    found = await called(roll, *asked)

    assert [each.worker and each.worker.name for each in found] == [each.name for each in asked]
    assert len({each.worker and each.worker.id for each in found}) == 200
    assert counted.begun <= 2


async def test_who_is_known_is_let_in_without_a_question(
    roll: Roll, counted: Counted, clock: Clock
) -> None:
    first = await roll.call(asks())
    clock.now += KNOWN_S - 1
    again = await roll.call(asks())
    questions = counted.begun
    clock.now += 2
    later = await roll.call(asks())

    assert questions == 1
    assert counted.begun == 2
    assert first.worker is not None
    assert again == first
    assert later.worker is not None
    assert later.worker.id == first.worker.id


async def test_who_would_need_a_question_soon_shares_the_next_one(
    roll: Roll, counted: Counted, clock: Clock
) -> None:
    crowd = [asks(f"worker-{n}", TenantId(f"owner-{n}")) for n in range(20)]
    for each in crowd:
        await roll.call(each)
        clock.now += 0.5
    for each in crowd:
        await roll.call(each)
    before = counted.begun

    clock.now += KNOWN_S - 10
    for each in crowd:
        await roll.call(each)
        clock.now += 0.5

    assert counted.begun - before == 1


async def test_who_has_gone_away_is_not_taken_for_there(
    roll: Roll, store: Store, clock: Clock
) -> None:
    await called(roll, asks("stays"), asks("goes"))
    seen_first = await seen_at(store, "goes")
    for _ in range(3):
        clock.now += KNOWN_S
        await roll.call(asks("stays"))

    assert await seen_at(store, "goes") == seen_first
    assert await seen_at(store, "stays") > seen_first


async def seen_at(store: Store, name: str) -> datetime:
    async with store.begin() as tx:
        worker = await tx.remote_worker_named(name)
    assert worker is not None
    assert worker.seen_at is not None
    return worker.seen_at


async def test_what_was_said_before_does_not_come_back_with_a_shared_question(
    roll: Roll, store: Store, clock: Clock
) -> None:
    await roll.call(asks())
    clock.now += 1
    await roll.call(replace(asks(), said=b'{"models":["n"]}'))
    clock.now += KNOWN_S - 2
    await roll.call(asks("another"))

    async with store.begin() as tx:
        kept = await tx.remote_worker_named("drawer")

    assert kept is not None
    assert kept.said == {"models": ["n"]}


async def test_what_a_worker_says_anew_of_itself_is_kept(roll: Roll, store: Store) -> None:
    await roll.call(asks())
    await roll.call(replace(asks(), said=b'{"models":["n"]}'))

    async with store.begin() as tx:
        kept = await tx.remote_worker_named("drawer")

    assert kept is not None
    assert kept.said == {"models": ["n"]}


async def test_who_may_not_work_is_asked_for_each_time(
    roll: Roll, store: Store, counted: Counted
) -> None:
    worker = (await roll.call(asks())).worker
    assert worker is not None
    async with store.begin() as tx:
        await tx.change_remote_worker(replace(worker, paused=True))
    roll.forget()
    paused = (await roll.call(asks())).worker
    async with store.begin() as tx:
        await tx.change_remote_worker(replace(worker, paused=False))

    back = (await roll.call(asks())).worker

    assert paused is not None
    assert paused.paused
    assert back is not None
    assert not back.paused
    assert counted.begun == 3


async def test_what_was_read_before_a_change_is_not_remembered_after_it(
    roll: Roll, counted: Counted
) -> None:
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(roll.call(asks()))
        await asyncio.sleep(0)  # its question is under way
        roll.forget()

    await roll.call(asks())

    assert asking.result().worker is not None
    assert counted.begun == 2


async def test_of_two_owners_who_want_one_name_at_once_one_has_it(roll: Roll) -> None:
    both = await called(roll, asks(), asks(tenant=TenantId("stranger")))

    owners = {each.worker and each.worker.tenant for each in both}

    assert len(owners) == 1
    assert owners <= {OWNER, TenantId("stranger")}


async def test_an_owner_has_no_more_workers_than_agreed_however_they_come(roll: Roll) -> None:
    crowd = [asks(f"worker-{n}") for n in range(MOST_OF_ONE_OWNER + 5)]

    found = await called(roll, *crowd)
    late = await roll.call(asks("one-more"))
    known = await roll.call(next(a for a, f in zip(crowd, found, strict=True) if f.worker))

    assert sum(each.worker is not None for each in found) == MOST_OF_ONE_OWNER
    assert late.worker is None
    assert known.worker is not None


async def test_a_trusted_owners_workers_are_trusted_and_friends_are_found(
    roll: Roll, store: Store
) -> None:
    async with store.begin() as tx:
        owner = await tx.insert_user(a_user(OWNER, "ada", trusted=True))
        friend = await tx.insert_user(a_user(TenantId("friend"), "bob"))
    assert owner is not None
    assert friend is not None
    first = ((friend.id, "bob"), (friend.id, "not bob"), (UserId(10**9), "nobody"))

    found = await roll.call(replace(asks(), first=first))

    assert found.trusted
    assert found.first == (friend.tenant,)


async def test_a_store_that_is_away_is_said_to_all_and_nobody_is_remembered(
    roll: Roll, counted: Counted
) -> None:
    counted.away = True
    with pytest.raises(Unavailable):
        await roll.call(asks())
    counted.away = False

    assert (await roll.call(asks())).worker is not None
