"""The consume loop, written once: take a message, handle it, settle it by what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final, Protocol, TypeAlias

import msgspec

from headrace.contracts import messages
from headrace.contracts.messages import MAX_MESSAGE_BYTES, Message
from headrace.core.errors import BadMessage, TooLarge, Unavailable
from headrace.core.ports.bus import Bus, Delivery

Handle: TypeAlias = Callable[[Message, Delivery], Awaitable[None]]
HandleHeap: TypeAlias = Callable[[Sequence[tuple[Message, Delivery]]], Awaitable[None]]
Settle: TypeAlias = Callable[[Delivery], Awaitable[None]]
SettleHeap: TypeAlias = Callable[[Sequence[Delivery]], Awaitable[None]]


class Report(Protocol):
    """Told of what came of a message other than an ack; the service logs and counts."""

    def __call__(self, outcome: str, queue: str, error: Exception) -> None: ...


LONGEST_REASON: Final = 200
_QUIET_S: Final = 0.05
_LULL_S: Final = 0.001  # what has not come by then is not there already
_PATIENCE: Final = 4  # what fails slowly has at most a fifth of the time


@dataclass(frozen=True, slots=True)
class Limits:
    prefetch: int = 16
    aside: int = 8  # messages that wait to be tried again while others are handled
    handle_s: float = 10.0  # for one message
    last_s: float = 5.0  # for what is already there when `stop` comes
    pause_s: float = 0.5  # before a message is tried again; doubled up to the cap
    pause_cap_s: float = 5.0
    # Both, before a message is to blame for what it meets: it failed while others were answered.
    strikes: int = 10
    suspected_s: float = 60.0


async def consume(  # noqa: PLR0913  # what most leave out is said by name
    bus: Bus,
    queue: str,
    handle: Handle,
    stop: asyncio.Event,
    *,
    report: Report,
    limits: Limits = Limits(),  # frozen
    heap: HandleHeap | None = None,
) -> None:
    """Handle messages one after another until `stop`; what is there by then is finished first.

    With `heap`, what is there already is handled together, and all of it or nothing: of a heap that
    could not be handled each message is tried by itself.

    A handler that raises Unavailable, or takes longer than `limits.handle_s`, is called again after a
    pause, and others are handled meanwhile. An outage may last as long as it takes and parks nothing:
    to put messages back would count as a failure each time. But a message that goes on failing while
    others between its tries are answered is itself the cause, and is buried. One whose handler raises
    anything else is buried at once, since trying the same again would loop. Being cancelled gives
    back what is unsettled.
    """

    async def read(delivery: Delivery) -> None:
        await handle(_decoded(delivery.body), delivery)

    async def read_all(handle_all: HandleHeap, deliveries: Sequence[Delivery]) -> None:
        await handle_all([(_decoded(each.body), each) for each in deliveries])

    heaps = None if heap is None else partial(read_all, heap)
    await _consume(bus, _Hand(queue, read, stop, report, limits, heap=heaps))


async def consume_dead(
    bus: Bus,
    queue: str,
    handle: Settle,
    stop: asyncio.Event,
    *,
    report: Report,
    limits: Limits = Limits(),  # frozen
) -> None:
    """Handle dead letters, which may be anything, as `consume` does messages.

    Behind this queue there is nothing: whatever its handler raises, it is called again.
    """
    await _consume(bus, _Hand(queue, handle, stop, report, limits, last=True))


async def _consume(bus: Bus, hand: _Hand) -> None:
    queue, stop, limits = hand.queue, hand.stop, hand.limits
    async with bus.receive(queue, prefetch=limits.prefetch) as deliveries:
        while not stop.is_set():
            await hand.turn(deliveries)
        # On a bus inside this process nobody would be left to hear what was said last.
        with suppress(TimeoutError):
            async with asyncio.timeout(limits.last_s):
                await hand.try_again()
                while (delivery := await _next_within(deliveries, _QUIET_S)) is not None:
                    await hand.settle(delivery)


async def _next_within(deliveries: AsyncIterator[Delivery], within_s: float) -> Delivery | None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            return await anext(deliveries)
    return None


async def next_or_stop(
    deliveries: AsyncIterator[Delivery], stop: asyncio.Event, within_s: float | None = None
) -> Delivery | None:
    """The next delivery; None once `stop` is set or the time is over. Loses none to the race."""
    if stop.is_set():
        return None
    async with asyncio.TaskGroup() as group:
        stopped = group.create_task(stop.wait())
        arriving = group.create_task(_first(deliveries))
        both = {stopped, arriving}
        await asyncio.wait(both, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not arriving.done():
            arriving.cancel()
    with suppress(asyncio.CancelledError):
        return arriving.result()
    return None


async def _first(deliveries: AsyncIterator[Delivery]) -> Delivery:
    return await anext(deliveries)


@dataclass(slots=True)
class _Suspect:
    """A delivery that could not be handled yet, and what speaks against it."""

    delivery: Delivery
    since: float
    pauses: Iterator[float]
    due: float = 0.0
    answered: int = 0  # how many others had been handled at its last try
    strikes: int = 0  # tries that failed although another had been handled since the one before


@dataclass(slots=True)
class _Hand:
    """Handles one message at a time. What it cannot settle before `stop` goes back by itself."""

    queue: str
    handle: Settle
    stop: asyncio.Event
    report: Report
    limits: Limits
    last: bool = False
    heap: SettleHeap | None = None
    answered: int = 0
    # At most `limits.aside`, or what one heap has left behind, which `limits.prefetch` bounds.
    aside: list[_Suspect] = field(default_factory=list)

    async def turn(self, deliveries: AsyncIterator[Delivery]) -> None:
        """The next that comes, or one that is due again. With enough set aside, nothing new."""
        due = min(self.aside, key=lambda suspect: suspect.due, default=None)
        left_s = None if due is None else due.due - _now()
        if due is not None and left_s is not None and left_s <= 0:
            await self._again(due)
        elif left_s is not None and len(self.aside) >= self.limits.aside:
            await _set_within(self.stop, left_s)
        elif (delivery := await next_or_stop(deliveries, self.stop, left_s)) is not None:
            await self._with_others(delivery, deliveries)

    async def _with_others(self, first: Delivery, deliveries: AsyncIterator[Delivery]) -> None:
        heap = [first]
        most = 1 if self.heap is None else self.limits.prefetch - len(self.aside)
        while len(heap) < most and (more := await _next_within(deliveries, _LULL_S)) is not None:
            heap.append(more)
        if self.heap is None or len(heap) == 1:
            await self.settle(first)
        else:
            await self._settle_all(heap, self.heap)

    async def _settle_all(self, heap: Sequence[Delivery], handle: SettleHeap) -> None:
        begun = _now()
        match await self._error_of(partial(handle, heap)):
            case None:
                self.answered += len(heap)
                for delivery in heap:
                    await delivery.ack()
            case Unavailable() | TimeoutError() as error:
                # Each has its own pause: to try them now, one by one, would take as long again.
                for delivery in heap:
                    await self._failed(self._set_aside(delivery), error, begun)
            case _:
                for delivery in heap:
                    await self.settle(delivery)

    async def try_again(self) -> None:
        for suspect in list(self.aside):
            await self._again(suspect)

    async def settle(self, delivery: Delivery) -> None:
        await self._again(self._set_aside(delivery))

    def _set_aside(self, delivery: Delivery) -> _Suspect:
        suspect = _Suspect(delivery, _now(), _pauses(self.limits), answered=self.answered)
        self.aside.append(suspect)
        return suspect

    async def _again(self, suspect: _Suspect) -> None:
        begun = _now()
        match await self._error_of(partial(self.handle, suspect.delivery)):
            case None:
                self.answered += 1
                self.aside.remove(suspect)
                await suspect.delivery.ack()
            case error if self.last or isinstance(error, Unavailable | TimeoutError):
                await self._failed(suspect, error, begun)
            case error:
                await self._bury(suspect, error, _reason(error))

    async def _failed(self, suspect: _Suspect, error: Exception, begun: float) -> None:
        """Judged by what became of others. What alone takes long is tried seldom: they wait for it."""
        suspect.strikes += self.answered > suspect.answered
        suspect.answered = self.answered
        if not self.last and self._to_blame(suspect):
            why = f"failed {suspect.strikes} times while others were handled: {_reason(error)}"
            await self._bury(suspect, error, why[:LONGEST_REASON])
            return
        self.report("retried", self.queue, error)
        now = _now()
        # In an outage everything takes long, and must not wait on when that is over.
        slowness = _PATIENCE * (now - begun) if suspect.strikes else 0.0
        suspect.due = now + max(next(suspect.pauses), slowness)

    def _to_blame(self, suspect: _Suspect) -> bool:
        limits = self.limits
        long_enough = _now() - suspect.since >= limits.suspected_s
        return long_enough and suspect.strikes >= limits.strikes

    async def _bury(self, suspect: _Suspect, error: Exception, reason: str) -> None:
        self.report("buried", self.queue, error)
        self.aside.remove(suspect)
        await suspect.delivery.bury(reason)

    async def _error_of(self, handling: Callable[[], Awaitable[None]]) -> Exception | None:
        try:
            async with asyncio.timeout(self.limits.handle_s):
                await handling()
        except Exception as error:  # noqa: BLE001  # here a message is settled: it must not loop
            return error
        return None


def _decoded(body: bytes) -> Message:
    if len(body) > MAX_MESSAGE_BYTES:  # of a stranger: our own bus sends none
        raise TooLarge("a message", len(body), MAX_MESSAGE_BYTES)
    try:
        return messages.decode(body)
    except msgspec.DecodeError as error:
        raise BadMessage(f"no message that this build can read: {error}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, BadMessage | TooLarge):
        return str(error)
    return f"{type(error).__name__}: {error}"[:LONGEST_REASON]


def _pauses(limits: Limits) -> Iterator[float]:
    ceiling = limits.pause_s
    while True:
        yield ceiling * (0.5 + _jitter.random())
        ceiling = min(limits.pause_cap_s, ceiling * 2)


async def _set_within(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def _now() -> float:
    return asyncio.get_running_loop().time()


_jitter = Random()  # spreads retries, guards nothing
