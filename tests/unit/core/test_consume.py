"""Every message is settled by what came of it, and none is lost to a stop or an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from headrace.adapters.bus.inprocess import InProcessBus
from headrace.contracts.ids import WorkerId
from headrace.contracts.messages import Goodbye, Message, decode, encode
from headrace.contracts.topology import Topology
from headrace.core.consume import Limits, consume
from headrace.core.errors import BadMessage, TooLarge, Unavailable
from headrace.core.ports.bus import REASON_HEADER, Bus, Delivery, Parcel
from headrace.testkit.background import Served, served
from headrace.testkit.deciding import empty
from headrace.testkit.waits import eventually

TOPOLOGY = Topology("test")
QUEUE = TOPOLOGY.claims
BRISK = Limits(handle_s=5, last_s=1, pause_s=0.002, pause_cap_s=0.004)
AWAY = Unavailable("the store", "it was told to fail")
DELIVERIES = 21  # the in-process bus, like the broker, parks what came back more often than that


@dataclass
class Handler:
    """Fails as told, in turn, and then no more; `hold` makes it wait in the middle."""

    errors: list[Exception] = field(default_factory=list)
    hold: asyncio.Event | None = None
    poison: tuple[str, Exception] | None = None  # this one fails always
    begun: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    reported: list[tuple[str, str, str]] = field(default_factory=list)

    async def __call__(self, message: Message, delivery: Delivery) -> None:
        assert isinstance(message, Goodbye)
        self.begun.append(message.worker)
        if self.hold is not None:
            await self.hold.wait()
        if self.poison is not None and message.worker == self.poison[0]:
            raise self.poison[1]
        if self.errors:
            raise self.errors.pop(0)
        self.done.append(message.worker)

    def report(self, outcome: str, queue: str, error: Exception) -> None:
        self.reported.append((outcome, queue, type(error).__name__))


@pytest.fixture
async def bus() -> Bus:
    bus = InProcessBus(TOPOLOGY)
    await bus.declare([QUEUE])
    return bus


@asynccontextmanager
async def consuming(bus: Bus, handler: Handler, limits: Limits = BRISK) -> AsyncGenerator[Served]:
    async def serve(stop: asyncio.Event) -> None:
        await consume(bus, QUEUE, handler, stop, report=handler.report, limits=limits)

    async with served(serve) as serving:
        yield serving


async def say(bus: Bus, *names: str) -> None:
    await bus.send([Parcel(QUEUE, encode(Goodbye(WorkerId(name)))) for name in names])


async def parked(bus: Bus) -> list[tuple[bytes, str]]:
    """What was buried, with the reason."""
    ready = (await bus.depth(TOPOLOGY.dead)).ready
    found = []
    async with bus.receive(TOPOLOGY.dead, prefetch=ready + 1) as deliveries:
        for _ in range(ready):
            delivery = await anext(deliveries)
            found.append((delivery.body, delivery.headers[REASON_HEADER]))
    return found


async def left(bus: Bus) -> int:
    return (await bus.depth(QUEUE)).ready


async def test_what_was_handled_is_gone(bus: Bus) -> None:
    handler = Handler()
    await say(bus, "a", "b")

    async with consuming(bus, handler):
        await eventually(lambda: handler.done == ["a", "b"])

    assert await left(bus) == 0
    assert await parked(bus) == []
    assert handler.reported == []


@pytest.mark.parametrize(
    "error", [BadMessage("not here"), TooLarge("it", 2, 1), ValueError("a bug")], ids=repr
)
async def test_what_would_fail_again_is_buried_with_the_reason_and_the_next_goes_on(
    bus: Bus, error: Exception
) -> None:
    handler = Handler([error])
    await say(bus, "bad", "good")

    async with consuming(bus, handler):
        await eventually(lambda: handler.done == ["good"])

    ((body, reason),) = await parked(bus)
    assert decode(body) == Goodbye(WorkerId("bad"))
    assert str(error) in reason
    assert handler.reported == [("buried", QUEUE, type(error).__name__)]


async def test_a_reason_is_short_however_long_the_error(bus: Bus) -> None:
    handler = Handler([ValueError("x" * 10_000)])
    await say(bus, "bad")

    async with consuming(bus, handler):
        await eventually(lambda: handler.reported)

    ((_, reason),) = await parked(bus)
    assert len(reason) == 200


@pytest.mark.parametrize(
    "body", [b"", b"\xff\x00", b'{"kind":"claims.v9"}', b'{"kind":"goodbye.v1"}']
)
async def test_what_cannot_be_read_is_parked_unread(bus: Bus, body: bytes) -> None:
    handler = Handler()
    await bus.send([Parcel(QUEUE, body)])
    await say(bus, "good")

    async with consuming(bus, handler):
        await eventually(lambda: handler.done == ["good"])

    assert [kept for kept, _ in await parked(bus)] == [body]
    assert handler.begun == ["good"]


async def test_an_outage_is_waited_for_and_parks_nothing_however_long(bus: Bus) -> None:
    handler = Handler([AWAY] * (DELIVERIES + 10))
    await say(bus, "a", "b")

    async with consuming(bus, handler):
        await eventually(lambda: sorted(handler.done) == ["a", "b"])

    assert await parked(bus) == []
    assert set(handler.reported) == {("retried", QUEUE, "Unavailable")}


async def test_a_handler_that_takes_too_long_is_called_again(bus: Bus) -> None:
    handler = Handler(hold=asyncio.Event())
    await say(bus, "slow")

    async with consuming(bus, handler, replace(BRISK, handle_s=0.01)):
        await eventually(lambda: len(handler.begun) >= 2)
        assert handler.hold is not None
        handler.hold.set()
        await eventually(lambda: handler.done == ["slow"])

    assert handler.reported[0] == ("retried", QUEUE, "TimeoutError")
    assert await left(bus) == 0


async def test_what_an_outage_made_slow_does_not_wait_on_when_it_is_over(bus: Bus) -> None:
    handler = Handler(hold=asyncio.Event())
    await say(bus, "slow")

    async with consuming(bus, handler, replace(BRISK, handle_s=1.5)):
        await eventually(lambda: handler.reported)
        assert handler.hold is not None
        handler.hold.set()
        await eventually(lambda: handler.done == ["slow"])  # four times as long as it took is more


async def test_an_outage_in_which_nothing_answers_in_time_parks_nothing(bus: Bus) -> None:
    handler = Handler([TimeoutError()] * (DELIVERIES + 10))
    await say(bus, "a", "b")

    async with consuming(bus, handler):
        await eventually(lambda: sorted(handler.done) == ["a", "b"])

    assert await parked(bus) == []


@pytest.mark.parametrize("error", [AWAY, TimeoutError()], ids=repr)
async def test_a_message_that_always_fails_does_not_hold_up_those_behind_it(
    bus: Bus, error: Exception
) -> None:
    handler = Handler(poison=("poison", error))
    await say(bus, "poison", *map(str, range(40)))

    async with consuming(bus, handler):
        await eventually(lambda: handler.done == list(map(str, range(40))))

    assert handler.begun[0] == "poison"


@pytest.mark.parametrize("error", [AWAY, TimeoutError()], ids=repr)
async def test_a_message_that_fails_while_others_are_handled_is_parked_in_the_end(
    bus: Bus, error: Exception
) -> None:
    handler = Handler(poison=("poison", error))
    strict = replace(BRISK, strikes=3, suspected_s=0.02)

    async with consuming(bus, handler, strict):
        await say(bus, "poison")

        async def buried() -> bool:
            await say(bus, "good")  # the dependency answers others
            return bool(handler.reported) and handler.reported[-1][0] == "buried"

        await eventually(buried)

    ((body, reason),) = await parked(bus)
    assert decode(body) == Goodbye(WorkerId("poison"))
    assert "failed 3 times while others were handled" in reason
    assert type(error).__name__ in reason
    assert await left(bus) == 0


async def test_a_message_that_fails_alone_is_not_to_blame(bus: Bus) -> None:
    handler = Handler([AWAY] * 50)
    await say(bus, "only")

    async with consuming(bus, handler, replace(BRISK, strikes=1, suspected_s=0)):
        await eventually(lambda: handler.done == ["only"])

    assert await parked(bus) == []


async def test_failing_often_but_not_for_long_is_no_reason_to_be_parked(bus: Bus) -> None:
    handler = Handler(poison=("poison", AWAY))
    await say(bus, "poison")

    async with consuming(bus, handler, replace(BRISK, strikes=1, suspected_s=60)):
        for _ in range(20):
            tries = handler.begun.count("poison")
            await say(bus, "good")
            await eventually(lambda: handler.begun.count("poison") > tries)  # noqa: B023

    assert await parked(bus) == []


async def test_only_so_many_are_set_aside_in_an_outage(bus: Bus) -> None:
    handler = Handler([AWAY] * 100)
    await say(bus, *"abcdefgh")

    async with consuming(bus, handler, replace(BRISK, aside=3)):
        await eventually(lambda: len(handler.begun) >= 30)
        assert set(handler.begun) == {"a", "b", "c"}
        await eventually(lambda: sorted(handler.done) == [*"abcdefgh"])

    assert await parked(bus) == []


async def test_stopping_finishes_what_is_there(bus: Bus) -> None:
    handler = Handler(hold=asyncio.Event())
    await say(bus, "a", "b", "c")

    async with consuming(bus, handler) as serving:
        await eventually(lambda: handler.begun)
        serving.stop.set()
        assert handler.hold is not None
        handler.hold.set()
        await serving.ended()

    assert handler.done == ["a", "b", "c"]
    assert await left(bus) == 0


async def test_stopping_does_not_wait_for_ever_for_the_last_ones(bus: Bus) -> None:
    first_may_end = asyncio.Event()
    handler = Handler(hold=first_may_end)
    await say(bus, "first", "last")

    async with consuming(bus, handler, replace(BRISK, last_s=0.05)) as serving:
        await eventually(lambda: handler.begun)
        handler.hold = asyncio.Event()  # never set
        serving.stop.set()
        first_may_end.set()
        await serving.ended(within=4)

    assert handler.begun == ["first", "last"]
    assert handler.done == ["first"]
    assert await left(bus) == 1
    assert await parked(bus) == []


async def test_stopping_in_an_outage_gives_back_what_is_in_hand_and_what_is_there(
    bus: Bus,
) -> None:
    handler = Handler([AWAY] * 1000)
    await say(bus, "a", "b", "c")

    async with consuming(bus, handler, replace(BRISK, pause_s=60, pause_cap_s=60)) as serving:
        await eventually(lambda: handler.reported)
        serving.stop.set()
        await serving.ended(within=5)

    assert handler.done == []
    assert await left(bus) == 3
    assert await parked(bus) == []


async def test_being_cancelled_gives_back_what_is_in_hand(bus: Bus) -> None:
    handler = Handler(hold=asyncio.Event())
    await say(bus, "a", "b")

    async with consuming(bus, handler) as serving:
        await eventually(lambda: handler.begun)
        serving.task.cancel()

    assert handler.done == []
    assert await left(bus) == 2


async def test_nothing_is_lost_when_a_message_and_the_stop_come_together(bus: Bus) -> None:
    for turn in range(6):
        handler = Handler()
        async with consuming(bus, handler) as serving:
            for _ in range(turn):  # at another moment of its waiting each time
                await asyncio.sleep(0)
            await say(bus, "a")
            serving.stop.set()
            await serving.ended()

        assert len(handler.done) + len(await empty(bus, QUEUE)) == 1
