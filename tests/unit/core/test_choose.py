"""What a lane offers next: round the ring of tenants, no more than was asked for, no cap exceeded."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from headrace.contracts.ids import TenantId
from headrace.core.job import Job
from headrace.core.ports.store import NewJob, Store, Terms, Waiting
from headrace.core.usecases.choose import Turns, choose
from headrace.testkit.builders import a_new_job
from headrace.testkit.deciding import LANE, LEASE, PATH, put, taken

A, B, C = TenantId("a"), TenantId("b"), TenantId("c")


async def chosen(store: Store, room: int, turns: Turns) -> list[Waiting]:
    async with store.begin() as tx:
        rows = await choose(tx, PATH, LANE, room, turns)
        return await tx.reserve(rows, until=await tx.now() + LEASE)


async def put_many(store: Store, *news: NewJob) -> None:
    async with store.begin() as tx:
        await tx.insert(news)


async def agree(store: Store, tenant: TenantId, **terms: Any) -> None:
    async with store.begin() as tx:
        await tx.set_terms(tenant, Terms(**terms))


@pytest.fixture
def turns() -> Turns:
    return Turns()


async def test_a_long_queue_and_many_short_ones_fill_the_room(store: Store, turns: Turns) -> None:
    few = [TenantId(f"few-{n}") for n in range(5)]
    await put_many(store, *(a_new_job(tenant=A) for _ in range(60)))
    await put_many(store, *(a_new_job(tenant=name) for name in few))

    rows = await chosen(store, 40, turns)

    had = Counter(row.tenant for row in rows)
    assert had == {A: 35, **dict.fromkeys(few, 1)}


async def test_a_weight_is_kept_to_from_window_to_window(store: Store, turns: Turns) -> None:
    await agree(store, A, weight=3)
    await put_many(store, *(a_new_job(tenant=name) for name in (A, B) for _ in range(30)))

    windows = [await chosen(store, 2, turns) for _ in range(8)]

    had = Counter(row.tenant for rows in windows for row in rows)
    assert had == {A: 12, B: 4}


async def test_more_tenants_than_a_page_all_have_their_turn(store: Store, turns: Turns) -> None:
    names = [TenantId(f"tenant-{n:03}") for n in range(100)]
    await put_many(store, *(a_new_job(tenant=name) for name in names for _ in range(2)))

    rounds = [await chosen(store, 7, turns) for _ in range(28)]

    order = [row.tenant for rows in rounds for row in rows]
    assert order[:100] == names
    assert order[100:] == names[:96]


async def test_a_turn_cut_short_goes_on_in_a_long_ring_too(store: Store, turns: Turns) -> None:
    names = [TenantId(f"tenant-{n:03}") for n in range(50)]
    await agree(store, names[1], weight=3)
    await put_many(store, *(a_new_job(tenant=name) for name in names for _ in range(4)))

    first, second = await chosen(store, 2, turns), await chosen(store, 3, turns)

    assert [row.tenant for row in first] == names[:2]
    assert [row.tenant for row in second] == [names[1], names[1], names[2]]


async def test_a_cap_counts_what_runs_and_what_is_offered(store: Store, turns: Turns) -> None:
    await agree(store, A, max_running=3)
    await taken(store, await put(store, tenant=A))
    await put_many(store, *(a_new_job(tenant=name) for name in (A, B) for _ in range(9)))

    first = Counter(row.tenant for row in await chosen(store, 6, turns))
    second = Counter(row.tenant for row in await chosen(store, 6, turns))

    assert first == {A: 2, B: 4}
    assert second == {B: 5}


async def test_tenants_at_their_cap_do_not_stand_in_the_way(store: Store, turns: Turns) -> None:
    capped = [TenantId(f"capped-{n:03}") for n in range(70)]
    last = TenantId("the last")
    jobs: list[Job] = []
    for name in capped:
        await agree(store, name, max_running_per_lane=1)
        jobs.append(await put(store, tenant=name))
    await taken(store, *jobs)
    await put_many(store, *(a_new_job(tenant=name) for name in (*capped, last)))

    rows = await chosen(store, 5, turns)

    assert [row.tenant for row in rows] == [last]


async def test_nothing_is_chosen_where_there_is_no_room(store: Store, turns: Turns) -> None:
    await put(store, tenant=C)

    assert await chosen(store, 0, turns) == []
    assert turns.last == {}
