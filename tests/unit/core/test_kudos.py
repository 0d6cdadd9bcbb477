"""What becomes of the price of a job however it ends, and whether the books are in order."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import uuid4  # noqa: TID251  # tests make ids of their own

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.adapters.store.sql import open_sql_store
from headrace.contracts.ids import TenantId
from headrace.core import usecases
from headrace.core.errors import HeadraceError, NotEnoughKudos, TooManyPrompts, TransferRefused
from headrace.core.job import Job, State
from headrace.core.ports.store import Query, Store
from headrace.core.ports.users import User
from headrace.core.retry import RetryPolicy
from headrace.core.usecases.cancel import ask_cancel, honour_cancels
from headrace.core.usecases.kudos import grant, hold, transfer
from headrace.core.usecases.record import record
from headrace.core.usecases.retry import retry, retry_all
from headrace.core.usecases.sweep import sweep
from headrace.core.usecases.users import (
    Changes,
    Welcome,
    change_user,
    create_user,
    user_for,
    user_named,
)
from headrace.testkit.builders import LONG_AGO, a_new_job, a_user
from headrace.testkit.deciding import (
    ANY,
    OVER,
    PATH,
    POLICY,
    a_failure,
    a_result,
    put,
    read,
    taken,
)


async def a_kept_user(store: Store, *, has: int = 1000, **fields: Any) -> User:
    async with store.begin() as tx:
        user = await tx.insert_user(a_user(**fields))
        assert user is not None
        await grant(tx, user.id, has, entry=str(uuid4()), who="test")
    return replace(user, balance=has)


async def asked(store: Store, user: User, price: int = 300, **fields: Any) -> Job:
    job = await put(store, tenant=user.tenant, price=price, **fields)
    async with store.begin() as tx:
        await hold(tx, user.id, job, price)
    return job


async def standing(store: Store, user: User) -> tuple[int, int]:
    """What it has, and what of it is held; and the books are in order."""
    async with store.begin() as tx:
        assert (await tx.audit_ledger()).none
        found = await tx.user(user.id)
    assert found is not None
    return found.balance, found.held


Way: TypeAlias = Callable[[Store, Job], Awaitable[object]]
ONCE: Final = RetryPolicy(failures=1, losses=1)


async def succeeds(store: Store, job: Job) -> None:
    (held,) = await taken(store, job)
    results = [a_result(held), a_result(held)]  # the second time is too late
    for _ in range(2):
        await record(store, results, policy=ONCE, random=ANY)


async def fails(store: Store, job: Job) -> None:
    (held,) = await taken(store, job)
    await record(store, [a_failure(held, "input")] * 2, policy=ONCE, random=ANY)


async def uses_up_its_attempts(store: Store, job: Job) -> None:
    (held,) = await taken(store, job)
    await record(store, [a_failure(held)], policy=ONCE, random=ANY)


async def is_lost(store: Store, job: Job) -> None:
    await taken(store, job, lease=OVER)
    await sweep(store, path=PATH, policy=ONCE, limit=9)
    await sweep(store, path=PATH, policy=ONCE, limit=9)


async def is_cancelled_as_it_waits(store: Store, job: Job) -> None:
    await ask_cancel(store, job.tenant, job.id)
    await honour_cancels(store, path=PATH, limit=9)
    await honour_cancels(store, path=PATH, limit=9)


async def is_cancelled_as_it_runs(store: Store, job: Job) -> None:
    (held,) = await taken(store, job)
    await ask_cancel(store, job.tenant, job.id)
    await honour_cancels(store, path=PATH, limit=9)
    await record(store, [a_result(held, "cancelled")], policy=POLICY, random=ANY)


ENDS: Final[dict[str, tuple[Way, State, int]]] = {
    "succeeds": (succeeds, State.SUCCEEDED, 700),
    "fails": (fails, State.FAILED, 1000),
    "uses up its attempts": (uses_up_its_attempts, State.DEAD, 1000),
    "is lost": (is_lost, State.DEAD, 1000),
    "is cancelled as it waits": (is_cancelled_as_it_waits, State.CANCELLED, 1000),
    "is cancelled as it runs": (is_cancelled_as_it_runs, State.CANCELLED, 1000),
}


@pytest.mark.parametrize("how", ENDS)
async def test_however_a_job_ends_its_price_is_settled_once(store: Store, how: str) -> None:
    way, state, left = ENDS[how]
    user = await a_kept_user(store)
    job = await asked(store, user)
    before = await standing(store, user)

    await way(store, job)

    assert before == (1000, 300)
    assert (await read(store, job.id)).state is state
    assert await standing(store, user) == (left, 0)


async def test_what_starts_too_late_costs_nothing(store: Store) -> None:
    user = await a_kept_user(store)
    await asked(store, user, start_deadline=LONG_AGO)

    await sweep(store, path=PATH, policy=POLICY, limit=9)

    assert await standing(store, user) == (1000, 0)


async def test_a_job_that_comes_back_still_holds_its_price(store: Store) -> None:
    user = await a_kept_user(store)
    (held,) = await taken(store, await asked(store, user))

    await record(store, [a_result(held, "released")], policy=POLICY, random=ANY)

    assert await standing(store, user) == (1000, 300)


async def tried_again(store: Store, job: Job) -> Job:
    async with store.begin() as tx:
        return await retry(tx, job.tenant, job.id, new_id=lambda: str(uuid4()), trace=None)


async def test_a_job_that_its_owner_tries_again_is_paid_again(store: Store) -> None:
    user = await a_kept_user(store)
    job = await asked(store, user)
    await fails(store, job)

    again = await tried_again(store, job)
    held = await standing(store, user)
    await succeeds(store, again)

    assert again.price == 300
    assert held == (1000, 300)
    assert await standing(store, user) == (700, 0)


async def test_who_cannot_pay_again_cannot_try_again(store: Store) -> None:
    user = await a_kept_user(store, floor=0)
    job = await asked(store, user, price=600)
    await succeeds(store, job)

    with pytest.raises(NotEnoughKudos, match=r"needs 0\.6 kudos, and there are 0\.4"):
        await tried_again(store, job)

    assert await standing(store, user) == (400, 0)
    async with store.begin() as tx:
        assert [each.id for each in await tx.page(user.tenant, Query(limit=9))] == [job.id]


async def test_who_has_as_many_open_jobs_as_it_may_cannot_try_another_again(store: Store) -> None:
    user = await a_kept_user(store, concurrency=1)
    job = await asked(store, user)
    await fails(store, job)
    await asked(store, user)

    with pytest.raises(TooManyPrompts):
        await tried_again(store, job)


async def test_what_an_operator_tries_again_costs_nobody(store: Store) -> None:
    user = await a_kept_user(store)
    job = await asked(store, user)
    await fails(store, job)
    ended = await read(store, job.id)

    async with store.begin() as tx:
        (again,) = await retry_all(tx, [ended], new_id=lambda: str(uuid4()))

    assert again.price is None
    assert await standing(store, user) == (1000, 0)


def test_nobody_ends_a_job_but_through_its_settlement() -> None:
    """A grant ends nothing; every other change of a job goes through `conclude`."""
    folder = Path(str(usecases.__file__)).parent
    saving = {path.stem for path in folder.glob("*.py") if "tx.save(" in path.read_text()}

    assert saving == {"conclude", "claim", "gather", "take"}


async def test_many_that_end_at_once_are_settled_each_by_its_own_price(store: Store) -> None:
    one, other = await a_kept_user(store), await a_kept_user(store)
    jobs = [await asked(store, user, price) for user, price in ((one, 100), (other, 20), (one, 3))]
    held = await taken(store, *jobs)

    results = [a_result(held[0]), a_result(held[1]), a_failure(held[2], "input")]
    await record(store, results, policy=ONCE, random=ANY)

    assert await standing(store, one) == (900, 0)
    assert await standing(store, other) == (980, 0)


async def test_a_price_that_is_not_the_jobs_is_never_held(store: Store) -> None:
    user = await a_kept_user(store)
    job = await put(store, tenant=user.tenant, price=5)

    with pytest.raises(ValueError, match="the price 5, not 6"):
        async with store.begin() as tx:
            await hold(tx, user.id, job, 6)


async def test_kudos_are_sent_once_and_never_to_oneself(store: Store) -> None:
    one, other = await a_kept_user(store), await a_kept_user(store, has=0)

    with pytest.raises(TransferRefused):
        await transfer(store, one.id, one.id, 5, None, new_id=lambda: "x")
    with pytest.raises(TransferRefused):
        await transfer(store, one.id, other.id, 0, None, new_id=lambda: "x")
    with pytest.raises(NotEnoughKudos):
        await transfer(store, other.id, one.id, 1, None, new_id=lambda: "x")
    await transfer(store, one.id, other.id, 400, None, new_id=lambda: "x")

    assert (await standing(store, one), await standing(store, other)) == ((600, 0), (400, 0))


async def test_a_floor_is_never_set_above_what_there_is(store: Store) -> None:
    user = await a_kept_user(store)
    await asked(store, user, 300)

    async with store.begin() as tx:
        await change_user(tx, user.id, Changes(floor=700), who="test")
    with pytest.raises(NotEnoughKudos):
        async with store.begin() as tx:
            await change_user(tx, user.id, Changes(floor=701), who="test")


async def test_a_tenant_is_one_user_however_it_comes(store: Store) -> None:
    welcome = Welcome(kudos=50)
    async with store.begin() as tx:
        first = await user_for(tx, TenantId("red"), welcome)
        again = await user_for(tx, TenantId("red"), welcome)
        named = await create_user(
            tx, "another", welcome, tenant=TenantId("red"), new_id=lambda: "", who="test"
        )

    assert (first.balance, again, named) == (50, first, first)


async def test_a_name_finds_its_user_if_both_parts_are_right(store: Store) -> None:
    user = await a_kept_user(store, alias="Ada")
    async with store.begin() as tx:
        found = [await user_named(tx, name) for name in (f"ada#{user.id}", str(user.id))]
        for name in (f"bob#{user.id}", "Ada", "Ada#", "", f"{user.id}#Ada", "9" * 40, "²"):
            with pytest.raises(HeadraceError):
                await user_named(tx, name)

    assert {each.id for each in found} == {user.id}


USERS: Final = 3
users = st.integers(0, USERS - 1)
amounts = st.integers(0, 900)
Step: TypeAlias = tuple[str, int, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["ask", "finish", "fail", "send", "grant", "take back"]),
        users,
        users,
        amounts,
    ),
    max_size=25,
)


@dataclass
class Model:
    """The books as a child would keep them."""

    balance: list[int]
    held: list[int]
    floors: list[int]
    jobs: list[tuple[int, int, Job]]

    def can_pay(self, user: int, amount: int) -> bool:
        return self.balance[user] - self.held[user] - amount >= self.floors[user]


@settings(max_examples=40)
@given(steps)
def test_whatever_happens_the_books_are_what_a_child_would_keep(
    tmp_path_factory: pytest.TempPathFactory, database: Path, taken_steps: list[Step]
) -> None:
    file = tmp_path_factory.mktemp("ledger") / "jobs.sqlite3"
    shutil.copy(database, file)
    asyncio.run(_kept(file, taken_steps))


async def _kept(file: Path, taken_steps: list[Step]) -> None:
    async with open_sql_store(f"sqlite:///{file}") as store:
        floors = [0, -500, -50]
        kept = [await a_kept_user(store, has=500, floor=floor) for floor in floors]
        model = Model([500] * USERS, [0] * USERS, floors, [])
        for step in taken_steps:
            await _take(store, kept, model, step)
        for user, *expected in zip(kept, model.balance, model.held, strict=True):
            assert list(await standing(store, user)) == expected
        async with store.begin() as tx:
            for user, balance in zip(kept, model.balance, strict=True):
                postings = await tx.postings(user.id, limit=1000)
                assert sum(each.amount for each in postings) == balance


async def _take(store: Store, kept: list[User], model: Model, step: Step) -> None:
    what, one, other, amount = step
    user = kept[one]
    try:
        match what:
            case "ask":
                async with store.begin() as tx:
                    new = a_new_job(tenant=user.tenant, price=amount)
                    await tx.insert([new])
                    await hold(tx, user.id, new.job, amount)
                assert model.can_pay(one, amount)
                model.held[one] += amount
                model.jobs.append((one, amount, new.job))
            case "finish" | "fail" if model.jobs:
                payer, price, job = model.jobs.pop(amount % len(model.jobs))
                await (succeeds if what == "finish" else fails)(store, job)
                model.held[payer] -= price
                model.balance[payer] -= price if what == "finish" else 0
            case "send" if one != other and amount:
                await transfer(store, user.id, kept[other].id, amount, None, new_id=_new_id)
                assert model.can_pay(one, amount)
                model.balance[one] -= amount
                model.balance[other] += amount
            case "grant" | "take back":
                given = amount if what == "grant" else -amount
                async with store.begin() as tx:
                    await grant(tx, user.id, given, entry=_new_id(), who="test")
                assert given >= 0 or model.can_pay(one, amount)
                model.balance[one] += given
            case _:
                pass
    except NotEnoughKudos:
        assert not model.can_pay(one, amount)


def _new_id() -> str:
    return str(uuid4())
