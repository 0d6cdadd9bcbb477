"""Takes whose hint, answer or asker is lost: each is found, or let go, within a stated time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace as with_fields
from tests.unit.dispatcher.test_taking import (
    NEVER,
    REMOTE,
    a_job,
    a_take,
    granted,
    is_seen,
    speaking,
)

from headrace.contracts.ids import WorkerId
from headrace.contracts.messages import Taken
from headrace.core.errors import Unavailable
from headrace.core.ports.store import Store
from headrace.core.usecases.take import TakenUp, take
from headrace.dispatcher import quiet, taking
from headrace.dispatcher.taking import Taker
from headrace.testkit.deciding import PATH, read
from headrace.testkit.house import House
from headrace.testkit.waits import eventually


async def test_a_job_whose_hint_was_lost_is_found_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before the next look for all who wait; by who is parked, and by who asks again and again."""
    monkeypatch.setattr(Taker, "stir", lambda _: None)
    monkeypatch.setattr(quiet, "FOUND_WITHIN_S", 0.3)
    async with house.dispatching(), speaking(house) as desk, asyncio.TaskGroup() as group:
        assert (await desk.take(WorkerId("polls"), a_take(), unless=NEVER())) is not None
        waiting = group.create_task(desk.take(REMOTE, a_take(20), unless=NEVER()))
        await eventually(lambda: is_seen(house.store))
        first = await a_job(house.store)
        async with asyncio.timeout(4):
            parked = await waiting
        second = await a_job(house.store)

        async def polled() -> Taken | None:
            found = await desk.take(WorkerId("polls"), a_take(), unless=NEVER())
            return found if found is not None and found.grant is not None else None

        asked = await eventually(polled, within=4)

    assert [granted(parked).job, granted(asked).job] == [first.id, second.id]


@pytest.mark.parametrize("waits", [False, True], ids=["at its first look", "when a job comes"])
async def test_a_look_that_was_cut_short_is_asked_what_it_was_granted(
    house: House, monkeypatch: pytest.MonkeyPatch, *, waits: bool
) -> None:
    """It costs its job no lease."""
    really, cut = take, asyncio.Event()

    async def cut_short(*args: Any, **more: Any) -> TakenUp:
        found = await really(*args, **more)
        if found.claimed is not None and not cut.is_set():
            cut.set()
            raise TimeoutError
        return found

    monkeypatch.setattr(taking, "take", cut_short)
    before = None if waits else await a_job(house.store)
    async with house.dispatching(), speaking(house) as desk, asyncio.TaskGroup() as group:
        waiting = group.create_task(desk.take(REMOTE, a_take(20), unless=NEVER()))
        if before is None:
            await eventually(lambda: is_seen(house.store))
        job = before or await a_job(house.store)
        async with asyncio.timeout(5):
            taken = await waiting

    assert cut.is_set()
    assert granted(taken).job == job.id
    assert (await read(house.store, job.id)).attempt == 1


async def test_who_waits_is_looked_at_again_after_a_turn_that_failed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, failed = take, asyncio.Event()

    async def failing(store: Store, *args: Any, **more: Any) -> TakenUp:
        async with store.begin() as tx:
            comes = bool(await tx.classes(PATH))
        if comes and not failed.is_set():
            failed.set()
            raise Unavailable("the store", "it was away for a moment")
        return await really(store, *args, **more)

    monkeypatch.setattr(taking, "take", failing)
    async with house.dispatching(), speaking(house) as desk, asyncio.TaskGroup() as group:
        waiting = group.create_task(desk.take(REMOTE, a_take(20), unless=NEVER()))
        await eventually(lambda: is_seen(house.store))
        job = await a_job(house.store)
        async with asyncio.timeout(4):
            taken = await waiting

    assert failed.is_set()
    assert granted(taken).job == job.id


async def test_a_take_that_nobody_waits_for_any_more_is_granted_nothing(house: House) -> None:
    """As after an outage of the dispatcher: what was asked meanwhile lies in the queue, and has no use."""
    job = await a_job(house.store)
    async with house.store.begin() as tx:
        now = await tx.now()
    late = [with_fields(a_take(wait), until=now - timedelta(seconds=1)) for wait in (0.0, 20.0)]
    in_time = with_fields(a_take(), until=now + timedelta(seconds=60))
    async with house.dispatching(), speaking(house) as desk:
        nothing = [await desk.take(REMOTE, each, unless=NEVER()) for each in late]
        untouched = (await read(house.store, job.id)).attempt
        taken = await desk.take(REMOTE, in_time, unless=NEVER())

    assert [each is not None and each.grant is None for each in nothing] == [True, True]
    assert untouched == 0
    assert granted(taken).job == job.id
