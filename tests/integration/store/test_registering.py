"""Many register one name, and change one route, at once: numbers without gap or double, one history."""

from __future__ import annotations

import asyncio

from headrace.adapters.store.sql import SqlStore
from headrace.contracts.ids import TenantId
from headrace.contracts.messages import Result
from headrace.core.models import Version
from headrace.core.usecases import models as use
from headrace.core.usecases.record import record
from headrace.testkit.builders import a_new_version
from headrace.testkit.deciding import ANY, POLICY, a_result, running

TENANT = TenantId("tenant")
MADE = {"artefact": {"blob": "w.bin"}, "format": "f", "sha256": "ab" * 32, "bytes": 1}


async def register(store: SqlStore, note: str) -> Version:
    async with store.begin() as tx:
        return await use.register(tx, a_new_version(tenant=TENANT, name="digits", note=note))


async def test_twenty_registrations_at_once_make_the_numbers_one_to_twenty(store: SqlStore) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(register(store, str(n))) for n in range(20)]

    assert sorted(task.result().number for task in tasks) == list(range(1, 21))
    async with store.begin() as tx:
        kept = await tx.versions(TENANT, "digits", limit=50)
        routes = await tx.routes(TENANT, "digits", limit=50)
    assert [each.number for each in kept] == list(range(20, 0, -1))
    assert {each.note for each in kept} == {str(n) for n in range(20)}
    assert [dict(each.weights) for each in routes] == [{1: 1.0}]


async def test_changes_of_one_route_at_once_are_one_history(store: SqlStore) -> None:
    for _ in range(2):
        await register(store, "")

    async def promote(number: int) -> None:
        async with store.begin() as tx:
            await use.promote(tx, TENANT, "digits", number, who=f"who-{number}")

    async with asyncio.TaskGroup() as group:
        for n in range(20):
            group.create_task(promote(1 + n % 2))

    async with store.begin() as tx:
        history = await tx.routes(TENANT, "digits", limit=50)
        model = await tx.model(TENANT, "digits")
    assert [each.number for each in history] == list(range(21, 0, -1))
    assert model is not None
    assert model.route == history[0]


async def test_results_that_come_together_and_twice_register_each_training_once(
    store: SqlStore,
) -> None:
    jobs = [await running(store, tenant=TENANT, register_as=name) for name in "aabb" * 3]
    results: list[Result] = [a_result(job, output={"model": MADE}) for job in jobs]

    async with asyncio.TaskGroup() as group:
        for batch in (results, results[::-1], results[::2], results[1::2]):
            group.create_task(record(store, batch, policy=POLICY, random=ANY))

    async with store.begin() as tx:
        made = {name: await tx.versions(TENANT, name, limit=50) for name in "ab"}
    for versions in made.values():
        assert [each.number for each in versions] == list(range(6, 0, -1))
    told = [each.job for versions in made.values() for each in versions]
    assert sorted(str(job) for job in told) == sorted(job.id for job in jobs)
