"""Messages that wait are handled together, all of them or none, and then one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from headrace.adapters.bus.inprocess import InProcessBus
from headrace.contracts.ids import WorkerId
from headrace.contracts.messages import Goodbye, Message, encode
from headrace.contracts.topology import Topology
from headrace.core.consume import Limits, consume
from headrace.core.errors import BadMessage, Unavailable
from headrace.core.ports.bus import Bus, Delivery, Parcel
from headrace.testkit.background import Served, served
from headrace.testkit.deciding import empty
from headrace.testkit.waits import eventually

TOPOLOGY = Topology("test")
QUEUE = TOPOLOGY.claims
BRISK = Limits(handle_s=5, last_s=1, pause_s=0.002, pause_cap_s=0.004)
AWAY = Unavailable("the store", "it was told to fail")


@dataclass
class Handler:
    """Fails as told, in turn, and then no more; `hold` makes it wait in the middle."""

    errors: list[Exception] = field(default_factory=list)
    hold: asyncio.Event | None = None
    bad: str = ""
    begun: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    heaps: list[list[str]] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)

    async def all_of(self, heap: Sequence[tuple[Message, Delivery]]) -> None:
        """All of them or none: what fails for one is done for none."""
        self.heaps.append([message.worker for message, _ in heap if isinstance(message, Goodbye)])
        before = list(self.done)
        try:
            for message, delivery in heap:
                await self.one(message, delivery)
        except Exception:
            self.done = before
            raise

    async def one(self, message: Message, delivery: Delivery) -> None:
        assert isinstance(message, Goodbye)
        self.begun.append(message.worker)
        if self.hold is not None:
            await self.hold.wait()
        if message.worker == self.bad:
            raise BadMessage("it makes no sense")
        if self.errors:
            raise self.errors.pop(0)
        self.done.append(message.worker)

    def report(self, outcome: str, queue: str, error: Exception) -> None:
        self.reported.append(outcome)


@pytest.fixture
async def bus() -> Bus:
    bus = InProcessBus(TOPOLOGY)
    await bus.declare([QUEUE])
    return bus


async def say(bus: Bus, *names: str) -> None:
    await bus.send([Parcel(QUEUE, encode(Goodbye(WorkerId(name)))) for name in names])


@asynccontextmanager
async def consuming(bus: Bus, handler: Handler, limits: Limits = BRISK) -> AsyncGenerator[Served]:
    async def serve(stop: asyncio.Event) -> None:
        report, heap = handler.report, handler.all_of
        await consume(bus, QUEUE, handler.one, stop, report=report, limits=limits, heap=heap)

    async with served(serve) as serving:
        yield serving


async def test_what_is_there_already_is_handled_together_and_a_single_one_by_itself(
    bus: Bus,
) -> None:
    handler = Handler()
    names = [f"w{n}" for n in range(20)]
    await say(bus, *names)

    async with consuming(bus, handler):
        await eventually(lambda: len(handler.done) == 20)
        await say(bus, "late")
        await eventually(lambda: handler.done[-1] == "late")

    assert handler.heaps[0] == names[: BRISK.prefetch]
    assert handler.done == [*names, "late"]
    assert (await bus.depth(QUEUE)).ready == 0
    assert "late" not in [name for heap in handler.heaps for name in heap]


async def test_of_a_heap_with_a_bad_message_the_others_are_handled_and_that_one_is_buried(
    bus: Bus,
) -> None:
    handler = Handler(bad="bad")
    await say(bus, "one", "bad", "two")

    async with consuming(bus, handler):
        await eventually(lambda: len(handler.done) == 2)

    assert handler.done == ["one", "two"]
    assert await empty(bus, TOPOLOGY.dead) == [Goodbye(WorkerId("bad"))]


async def test_a_heap_that_meets_an_outage_is_tried_again_and_parks_nothing(bus: Bus) -> None:
    handler = Handler(errors=[AWAY] * 7)
    await say(bus, *(f"w{n}" for n in range(12)))

    async with consuming(bus, handler):
        await eventually(lambda: len(handler.done) == 12)

    assert sorted(handler.done) == sorted(f"w{n}" for n in range(12))
    assert set(handler.reported) == {"retried"}
    assert await empty(bus, TOPOLOGY.dead) == []


async def test_a_heap_that_takes_too_long_is_tried_one_by_one_later(bus: Bus) -> None:
    handler = Handler(hold=asyncio.Event())
    await say(bus, "one", "two", "three")

    async with consuming(bus, handler, replace(BRISK, handle_s=0.05)):
        await eventually(lambda: len(handler.reported) >= 3)
        assert handler.hold is not None
        handler.hold.set()
        await eventually(lambda: len(handler.done) == 3)

    assert handler.heaps == [["one", "two", "three"]]
    assert await empty(bus, TOPOLOGY.dead) == []


async def test_stopping_gives_nothing_of_a_heap_away(bus: Bus) -> None:
    handler = Handler(hold=asyncio.Event())
    await say(bus, *(f"w{n}" for n in range(5)))

    async with consuming(bus, handler) as serving:
        await eventually(lambda: len(handler.begun) == 1)
        serving.stop.set()
        assert handler.hold is not None
        handler.hold.set()

    assert len(handler.done) == 5
    assert (await bus.depth(QUEUE)).ready == 0
