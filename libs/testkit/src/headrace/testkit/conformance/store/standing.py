"""How lanes stand: what waits, what is offered, what is held, and how long the next has waited."""

from __future__ import annotations

from typing import Any

from headrace.contracts.ids import Lane
from headrace.core.ports.standing import LaneStanding
from headrace.core.ports.store import Store
from headrace.testkit.conformance.store.outbox import send
from headrace.testkit.conformance.store.room import StoreRoom, grant, put

ECHO = Lane("echo")


async def standing(store: Store, path: str, *, at_most: int = 100) -> list[LaneStanding]:
    async with store.begin() as tx:
        return list(await tx.standing(path, at_most=at_most))


class Standing(StoreRoom):
    async def test_nothing_stands_where_nothing_is(self, store: Store, path: str) -> None:
        assert await standing(store, path) == []

    async def test_each_job_stands_in_one_place(self, store: Store, new: Any, path: str) -> None:
        _, offered, held = await put(store, new(), new(), new())
        await send(store, offered, held)
        await grant(store, held)

        (lane,) = await standing(store, path)

        assert (lane.lane, lane.waiting, lane.offered, lane.held) == (ECHO, 1, 1, 1)

    async def test_waiting_is_counted_no_further_than_asked(
        self, store: Store, new: Any, path: str
    ) -> None:
        await put(store, *(new() for _ in range(5)))

        (lane,) = await standing(store, path, at_most=3)

        assert lane.waiting == 3

    async def test_a_paused_lane_stands_too(self, store: Store, new: Any, path: str) -> None:
        await put(store, new(lane=Lane(f"lane-of-{path}")))
        async with store.begin() as tx:
            await tx.pause(Lane(f"lane-of-{path}"))

        (lane,) = await standing(store, path)

        assert lane.waiting == 1

    async def test_the_age_is_that_of_the_job_whatever_its_priority(
        self, store: Store, new: Any, path: str
    ) -> None:
        await put(store, new(priority=50))  # worth fifty minutes in the order

        (lane,) = await standing(store, path)

        assert 0 <= lane.oldest_s < 60
