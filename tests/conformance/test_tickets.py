"""What every keeper of tickets promises: a note is taken once, in time, by whoever knows its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from secrets import token_hex

import pytest

from headrace.adapters.tickets.inprocess.tickets import InProcessTickets
from headrace.adapters.tickets.redis.tickets import open_redis_tickets
from headrace.core.errors import Unavailable
from headrace.core.ports.tickets import Tickets
from headrace.testkit.fresh import fresh_prefix
from headrace.testkit.system import free_port
from headrace.testkit.waits import eventually


class TicketsConformance:
    """`replicas` are two that share what they keep, as two processes would."""

    async def test_a_note_is_taken_once(self, replicas: tuple[Tickets, Tickets]) -> None:
        here, there = replicas
        name = token_hex(8)
        await here.keep(name, b"note", for_s=60)

        assert await there.take(name) == b"note"
        assert await here.take(name) is None
        assert await there.take(name) is None

    async def test_of_many_who_take_at_once_one_gets_it(
        self, replicas: tuple[Tickets, Tickets]
    ) -> None:
        name = token_hex(8)
        await replicas[0].keep(name, b"note", for_s=60)

        async with asyncio.TaskGroup() as group:
            tries = [group.create_task(replicas[nth % 2].take(name)) for nth in range(20)]

        assert sorted(str(each.result()) for each in tries) == sorted(["None"] * 19 + ["b'note'"])

    async def test_a_note_does_not_outlive_its_time(
        self, replicas: tuple[Tickets, Tickets], later: Callable[[float], None]
    ) -> None:
        names = [token_hex(8) for _ in range(200)]
        for name in names:
            await replicas[0].keep(name, b"note", for_s=0.01)
        later(0.02)

        async def gone() -> bool:
            return await replicas[1].take(names.pop()) is None

        await eventually(gone, every=0.02)

    async def test_nobody_has_what_was_not_kept(self, replicas: tuple[Tickets, Tickets]) -> None:
        assert await replicas[0].take(token_hex(8)) is None


class TestInProcess(TicketsConformance):
    @pytest.fixture
    def now(self) -> list[float]:
        return [0.0]

    @pytest.fixture
    def replicas(self, now: list[float]) -> tuple[Tickets, Tickets]:
        tickets = InProcessTickets(clock=lambda: now[0])
        return tickets, tickets

    @pytest.fixture
    def later(self, now: list[float]) -> Callable[[float], None]:
        def move(seconds: float) -> None:
            now[0] += seconds

        return move

    async def test_it_is_bounded_and_the_oldest_go(self) -> None:
        tickets = InProcessTickets(max_notes=2)
        for name in ("a", "b", "c"):
            await tickets.keep(name, name.encode(), for_s=60)

        assert [await tickets.take(name) for name in ("a", "b", "c")] == [None, b"b", b"c"]


@pytest.mark.real
class TestRedis(TicketsConformance):
    @pytest.fixture
    async def replicas(self, redis_url: str) -> AsyncGenerator[tuple[Tickets, Tickets]]:
        async with (
            fresh_prefix(redis_url) as prefix,
            open_redis_tickets(redis_url, prefix=prefix) as here,
            open_redis_tickets(redis_url, prefix=prefix) as there,
        ):
            yield here, there

    @pytest.fixture
    def later(self) -> Callable[[float], None]:
        return lambda _: None

    async def test_a_redis_that_is_away_is_unavailable(self) -> None:
        async with open_redis_tickets(f"redis://127.0.0.1:{free_port()}/0") as tickets:
            with pytest.raises(Unavailable):
                await tickets.take("any")
            with pytest.raises(Unavailable):
                await tickets.keep("any", b"note", for_s=1)


@pytest.mark.real
class TestRedisCluster(TicketsConformance):
    @pytest.fixture
    async def replicas(self, redis_cluster_url: str) -> AsyncGenerator[tuple[Tickets, Tickets]]:
        async with (
            fresh_prefix() as prefix,
            open_redis_tickets(redis_cluster_url, prefix=prefix) as here,
            open_redis_tickets(redis_cluster_url, prefix=prefix) as there,
        ):
            yield here, there

    @pytest.fixture
    def later(self) -> Callable[[float], None]:
        return lambda _: None
