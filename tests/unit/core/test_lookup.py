"""Those who ask at once share a transaction, and each hears of his own job alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from headrace.contracts.ids import JobId, TenantId
from headrace.core.errors import Unavailable
from headrace.core.job import Job
from headrace.core.lookup import Lookup
from headrace.core.ports.store import Store, Transaction
from headrace.testkit.builders import a_job_id
from headrace.testkit.deciding import put
from headrace.testkit.waits import eventually

OTHER = TenantId("somebody else")


class Counted:
    """A store that counts its transactions, and fails or waits in them as told."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.begun = 0
        self.failures: list[Unavailable] = []
        self.hold = asyncio.Event()
        self.hold.set()

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Transaction]:
        self.begun += 1
        await asyncio.sleep(0)  # as any database lets others go on
        await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)
        async with self._store.begin() as tx:
            yield tx


@pytest.fixture
def counted(store: Store) -> Counted:
    return Counted(store)


@pytest.fixture
def lookup(counted: Counted) -> Lookup:
    return Lookup(cast("Any", counted))


Found = list["Job | Unavailable | None"]


async def found(lookup: Lookup, *asked: tuple[TenantId, JobId]) -> Found:
    """What each hears; all of them ask in the same turn of the loop."""

    async def ask(who: tuple[TenantId, JobId]) -> Job | Unavailable | None:
        try:
            return await lookup.find(*who)
        except Unavailable as error:
            return error

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask(each)) for each in asked]
    return [each.result() for each in asking]


def of(job: Job) -> tuple[TenantId, JobId]:
    return job.tenant, job.id


async def test_a_hundred_who_ask_at_once_are_few_transactions(
    store: Store, counted: Counted, lookup: Lookup
) -> None:
    jobs = [await put(store, tenant=TenantId(f"t{number % 3}")) for number in range(100)]

    assert await found(lookup, *map(of, jobs)) == jobs
    assert counted.begun == 2  # the first goes at once; the others come while it is under way


async def test_nobody_finds_what_is_anothers_or_unknown(store: Store, lookup: Lookup) -> None:
    job = await put(store)

    asked = [of(job), (OTHER, job.id), (job.tenant, a_job_id())]

    assert await found(lookup, *asked) == [job, None, None]


async def test_a_question_that_is_under_way_is_not_joined(
    store: Store, counted: Counted, lookup: Lookup
) -> None:
    early, late = await put(store), await put(store)
    counted.hold.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(lookup.find(*of(early)))
        await eventually(lambda: counted.begun == 1)
        second = group.create_task(lookup.find(*of(late)))
        await asyncio.sleep(0)
        counted.hold.set()

    assert (first.result(), second.result()) == (early, late)
    assert counted.begun == 2


async def test_an_outage_is_told_to_all_who_share_the_question_and_to_nobody_after(
    store: Store, counted: Counted, lookup: Lookup
) -> None:
    job = await put(store)
    counted.failures = [Unavailable("the store", "it was told to fail") for _ in range(2)]

    told = await found(lookup, *[of(job)] * 5)

    assert [type(each) for each in told] == [Unavailable] * 5
    assert counted.begun == 2
    assert await lookup.find(*of(job)) == job


async def test_one_who_leaves_in_the_middle_takes_nobodys_answer_with_him(
    store: Store, counted: Counted, lookup: Lookup
) -> None:
    early, late = await put(store), await put(store)
    counted.hold.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(lookup.find(*of(early)))
        await eventually(lambda: counted.begun == 1)
        leaving = group.create_task(lookup.find(*of(late)))
        staying = group.create_task(lookup.find(*of(late)))
        await asyncio.sleep(0)  # they share the next question
        first.cancel()
        await eventually(lambda: counted.begun == 2)
        leaving.cancel()
        await eventually(leaving.done)
        counted.hold.set()

    assert staying.result() == late
    assert leaving.cancelled()
