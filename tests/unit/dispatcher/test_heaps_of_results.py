"""Results that wait are taken down together: in one transaction, and each answered to who sent it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from headrace.adapters.store.sql.transaction import SqlTransaction
from headrace.contracts.messages import Grant, Grants, Recorded, Result, ResultOf, Results, encode
from headrace.core.job import State
from headrace.core.ports.bus import Parcel
from headrace.core.ports.store import AttemptEnd
from headrace.testkit.deciding import ECHO, empty, parked_letters, put, read
from headrace.testkit.house import TOPOLOGY, House
from headrace.testkit.scripted_worker import ScriptedWorker
from headrace.testkit.waits import eventually


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many attempts each transaction closed."""
    counts: list[int] = []
    really = SqlTransaction.close_attempts

    async def counted(tx: SqlTransaction, ends: Sequence[AttemptEnd]) -> None:
        counts.append(len(ends))
        await really(tx, ends)

    monkeypatch.setattr(SqlTransaction, "close_attempts", counted)
    return counts


async def granted(house: House, worker: ScriptedWorker, jobs: int) -> list[Grant]:
    worker.slots = jobs
    async with house.dispatching():
        await worker.hello(ECHO)
        for _ in range(jobs):
            await put(house.store)
        return [await worker.take() for _ in range(jobs)]


async def test_what_waits_is_one_transaction_and_what_comes_twice_is_stale(
    house: House, worker: ScriptedWorker, closed: list[int]
) -> None:
    grants = await granted(house, worker, 5)
    closed.clear()
    for grant in [*grants, grants[0]]:
        await worker.end(grant, output={"text": "done"})

    async with house.dispatching():
        await eventually(lambda: sum(closed) >= 5)
        jobs = [await read(house.store, grant.job) for grant in grants]

    assert {job.state for job in jobs} == {State.SUCCEEDED}
    assert closed[0] == 5
    assert sum(closed) == 5


async def test_each_message_hears_of_its_own_results(house: House, worker: ScriptedWorker) -> None:
    first, second, late = await granted(house, worker, 3)
    for grant, epoch in ((first, first.epoch), (second, second.epoch), (late, late.epoch - 1)):
        result = Result(job=grant.job, epoch=epoch, outcome="succeeded")
        said = Results(worker.name, [result], reply_to=TOPOLOGY.mailbox(worker.name))
        await house.bus.send([Parcel(TOPOLOGY.results, encode(said))])

    async with house.dispatching():
        heard = [await worker.letter() for _ in range(3)]

    assert heard == [
        Recorded(moved=[ResultOf(first.job, first.epoch)], stale=[]),
        Recorded(moved=[ResultOf(second.job, second.epoch)], stale=[]),
        Recorded(moved=[], stale=[ResultOf(late.job, late.epoch - 1)]),
    ]


async def test_a_message_that_does_not_belong_there_costs_the_others_nothing(
    house: House, worker: ScriptedWorker
) -> None:
    grants = await granted(house, worker, 2)
    await worker.end(grants[0])
    await house.bus.send([Parcel(TOPOLOGY.results, encode(Grants([])))])
    await worker.end(grants[1])

    async with house.dispatching():

        async def all_over() -> bool:
            return all([(await read(house.store, each.job)).terminal for each in grants])

        await eventually(all_over)
        await eventually(lambda: parked_letters(house.store))

    assert await empty(house.bus, TOPOLOGY.results) == []
