"""A job that is asked for a second after a change goes by it, in each api process, or is refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from typing_extensions import override

from headrace.api.steering import EVERY_S, FRESH_S, Steering
from headrace.contracts.ids import TenantId
from headrace.core.errors import Unavailable
from headrace.core.ports.paths import DISTRIBUTED, LOCAL
from headrace.core.ports.rollouts import Replica
from headrace.core.ports.store import Store, Transaction
from headrace.core.rollout import Basis, Fixed, Rollout
from headrace.testkit.builders import a_job
from headrace.testkit.unruly import UnrulyStore
from headrace.testkit.waits import eventually

US = TenantId("us")


async def save(store: Store, **fields: Any) -> None:
    async with store.begin() as tx:
        before = await tx.rollout() or Rollout()
        assert await tx.save_rollout(replace(before, version=before.version + 1, **fields))


async def replicas(store: Store) -> list[Replica]:
    async with store.begin() as tx:
        return await tx.replicas(seen_after=await tx.now() - timedelta(minutes=1))


@asynccontextmanager
async def steered(store: Store, basis: Basis | None = None) -> AsyncGenerator[Steering]:
    steering = Steering(store, basis or Basis())
    async with asyncio.TaskGroup() as group:
        running = group.create_task(steering.run())
        yield steering
        running.cancel()


async def test_a_change_holds_within_a_second_without_a_restart(store: Store) -> None:
    async with steered(store) as steering:
        await eventually(lambda: replicas(store))
        before = steering.now.path(US, "text")
        await save(store, percent=100.0)

        await eventually(lambda: steering.now.path(US, "text") == DISTRIBUTED, within=1.0)

    assert before == LOCAL
    assert EVERY_S < FRESH_S < 1, "so that nobody waits for a reading unless the process is starved"


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_starved_process_reads_before_it_answers(store: Store) -> None:
    clock = Clock()
    steering = Steering(store, Basis(), clock=clock)  # it has no turn to read by itself
    await save(store, percent=0.0)
    before = (await steering.current()).path(US, "text")
    await save(store, percent=100.0)
    young = (await steering.current()).path(US, "text")

    clock.now += FRESH_S + 0.01
    late = (await steering.current()).path(US, "text")

    assert (before, young, late) == (LOCAL, LOCAL, DISTRIBUTED)


async def test_who_asks_at_once_waits_for_one_reading(store: Store) -> None:
    counting = UnrulyStore(store)
    steering = Steering(counting, Basis())

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(steering.current())

    assert counting.begun == 1


async def test_a_job_is_refused_when_nobody_says_which_path_it_takes(
    store: Store,
) -> None:
    unruly, clock = UnrulyStore(store), Clock()
    steering = Steering(unruly, Basis(), clock=clock)
    await steering.refresh()
    unruly.away = True

    still = await steering.current()
    clock.now += FRESH_S + 0.01
    with pytest.raises(Unavailable):
        await steering.current()

    assert still == steering.now


async def test_who_asks_while_the_store_is_away_is_refused_by_one_reading(store: Store) -> None:
    unruly = UnrulyStore(store)
    unruly.away = True
    steering = Steering(unruly, Basis())

    async def refused() -> None:
        with pytest.raises(Unavailable):
            await steering.current()

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(refused())

    assert unruly.begun == 1


async def test_a_record_that_this_build_cannot_read_stops_nobody(store: Store) -> None:
    class Strange(UnrulyStore):
        @override
        def begin(self) -> AbstractAsyncContextManager[Transaction]:
            raise KeyError("percent")

    steering = Steering(Strange(store), Basis())

    assert (await steering.current()).path(US, "text") == LOCAL


async def test_a_replica_tells_the_version_that_it_applies_and_takes_its_name_back(
    store: Store,
) -> None:
    await save(store, percent=1.0)
    async with steered(store) as steering:
        first = await eventually(lambda: replicas(store))
        await save(store, percent=2.0)
        await eventually(lambda: has_version(store, 2), within=1.0)

    assert [(each.name, each.version) for each in first] == [(steering.name, 1)]
    assert await replicas(store) == []


async def has_version(store: Store, version: int) -> bool:
    return [each.version for each in await replicas(store)] == [version]


async def test_what_was_known_last_stays_while_the_store_is_away_and_that_is_said_once(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    unruly = UnrulyStore(store)
    await save(store, percent=100.0)
    steering = Steering(unruly, Basis())
    await steering.refresh()
    caplog.set_level(logging.INFO)

    unruly.away = True
    for _ in range(3):
        await steering.refresh()
    unruly.away = False
    await steering.refresh()

    assert steering.now.path(US, "text") == DISTRIBUTED
    said = [each.message for each in caplog.records]
    assert (said.count("rollout.unread"), said.count("rollout.read_again")) == (1, 1)


async def test_the_environment_holds_over_what_is_stored(store: Store) -> None:
    await save(store, percent=100.0)
    steering = Steering(store, Basis(fixed=Fixed(percent=0.0)))

    await steering.refresh()

    assert steering.now.path(US, "text") == LOCAL


async def test_a_shadow_is_drawn_only_where_somebody_would_run_it(store: Store) -> None:
    await save(store, shadow_percent=100.0)
    steering = Steering(store, Basis())
    await steering.refresh()
    alone = steering.shadowed(a_job(path=LOCAL))
    async with store.begin() as tx:
        await tx.attend(DISTRIBUTED, until=await tx.now() + timedelta(minutes=1))

    await steering.refresh()

    assert not alone
    assert steering.shadowed(a_job(path=LOCAL))
    assert not steering.shadowed(a_job(path=DISTRIBUTED)), "nobody attends to the local path"
