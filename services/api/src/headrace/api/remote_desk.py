"""Where workers that come by HTTP are spoken for: what they ask goes over the bus, the answers come to a mailbox.

Laws:
1. While somebody waits here, nothing is asked of the store.
2. A grant that nobody waits for any more is given back at once; what is lost with this process comes
   back with its lease.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from random import Random
from typing import Any, Final, TypeAlias

import msgspec

from headrace.contracts.ids import ClaimId, WorkerId
from headrace.contracts.messages import (
    Heartbeats,
    Message,
    Order,
    Orders,
    Recorded,
    Result,
    Results,
    Take,
    Taken,
    Takes,
    decode,
    encode,
    grants_of,
)
from headrace.contracts.topology import Topology
from headrace.core.errors import HeadraceError, Unavailable
from headrace.core.ports.bus import Bus, Delivery, Parcel, Sent

ANSWER_WITHIN_S: Final = 5.0  # for what a dispatcher does not put off
RECORD_WITHIN_S: Final = 15.0
WAITING_AT_MOST: Final = 2_000  # workers at one process; each holds a connection
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_REMEMBERED: Final = 4096  # grants that were handed over: the bus may bring one twice
_DISPATCHERS: Final = "the dispatcher"
OpenBus: TypeAlias = Callable[[], AbstractAsyncContextManager[Bus]]
_log = logging.getLogger(__name__)  # dialects, which see this, know no telemetry


class RemoteDesk:
    """`run` must be running. The bus is opened there: an api starts also while the broker is away."""

    def __init__(self, open_bus: OpenBus, topology: Topology, *, new_id: Callable[[], str]) -> None:
        self._open_bus, self._topology = open_bus, topology
        self._bus: Bus | None = None
        self._mailbox = topology.mailbox(WorkerId(f"api-{new_id()}"))
        self._expected: dict[Hashable, list[asyncio.Future[Any]]] = {}
        self._handed_over: OrderedDict[ClaimId, None] = OrderedDict()
        self._sequence = 0
        self._waiting = 0  # takes that a dispatcher may put off
        self._open = asyncio.Event()
        self._jitter = Random()

    async def run(self) -> None:
        """Until it is cancelled. An outage of the broker ends nothing."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with self._open_bus() as bus:
                    pause_s = _FIRST_PAUSE_S
                    await self._speak(bus)
            except HeadraceError as error:
                _log.warning("desk.closed", extra={"error": str(error)})
            await asyncio.sleep(pause_s * (0.7 + 0.6 * self._jitter.random()))
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)

    async def _speak(self, bus: Bus) -> None:
        topology = self._topology
        await bus.declare([topology.claims, topology.heartbeats, topology.results])
        async with bus.mailbox(self._mailbox) as letters:
            self._bus = bus
            self._open.set()
            try:
                await self._read(letters)
            finally:
                self._open.clear()
                self._bus = None

    async def run_until(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.run())
            await stop.wait()
            running.cancel()

    @property
    def full(self) -> bool:
        return self._waiting >= WAITING_AT_MOST

    async def take(self, worker: WorkerId, asked: Take, *, unless: asyncio.Event) -> Taken | None:
        """None: there was no answer in time, or `unless` came first. Raises Unavailable."""
        message = Takes(worker=worker, reply_to=self._mailbox, takes=[asked])
        with self._expecting(asked.id) as answer, self._counted(asked):
            await self._send(self._topology.claims, message)
            await _either(answer, unless, asked.wait_s + ANSWER_WITHIN_S)
        return answer.result() if _has_come(answer) else None

    async def give_back(self, worker: WorkerId, taken: Taken) -> None:
        """It could not be handed over: it costs no attempt."""
        back = [
            Result(job=grant.job, epoch=grant.epoch, outcome="released")
            for grant in grants_of(taken)
        ]
        try:
            await self._send(self._topology.results, Results(worker, back))
        except Unavailable as error:
            jobs = [result.job for result in back]
            _log.warning("grant.not_given_back", extra={"jobs": jobs, "error": str(error)})

    async def report(self, worker: WorkerId, result: Result) -> bool:
        """Whether it moved its job. Raises Unavailable, TooLarge: whether it did is not known."""
        message = Results(worker, [result], self._mailbox)
        with self._expecting((result.job, result.epoch)) as answer:
            await self._send(self._topology.results, message)
            await _either(answer, None, RECORD_WITHIN_S)
        if not _has_come(answer):
            raise Unavailable(_DISPATCHERS, "no answer in time")
        moved: bool = answer.result()
        return moved

    async def beat(self, beats: Heartbeats) -> Order:
        """Of one job: whether its lease is renewed. Raises Unavailable."""
        self._sequence += 1
        sequence = self._sequence
        message = msgspec.structs.replace(beats, sequence=sequence, reply_to=self._mailbox)
        with self._expecting(sequence) as answer:
            await self._send(self._topology.heartbeats, message)
            await _either(answer, None, ANSWER_WITHIN_S)
        if not _has_come(answer):
            raise Unavailable(_DISPATCHERS, "no answer in time")
        orders: Sequence[Order] = answer.result()
        return orders[0]

    async def _send(self, queue: str, message: Message) -> None:
        """An answer can only come to a mailbox that is there."""
        await _within(self._open.wait(), ANSWER_WITHIN_S)
        if self._bus is None:
            raise Unavailable("the message broker", "the mailbox is not open")
        (sent,) = await self._bus.send([Parcel(queue, encode(message))])
        if sent is Sent.UNROUTABLE:
            raise Unavailable(_DISPATCHERS, "nobody listens")

    @contextmanager
    def _expecting(self, key: Hashable) -> Iterator[asyncio.Future[Any]]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiting = self._expected.setdefault(key, [])
        waiting.append(answer)
        try:
            yield answer
        finally:
            waiting.remove(answer)
            if not waiting:
                del self._expected[key]
            answer.cancel()  # what comes now comes too late

    @contextmanager
    def _counted(self, asked: Take) -> Iterator[None]:
        one = int(asked.wait_s > 0)
        self._waiting += one
        try:
            yield
        finally:
            self._waiting -= one

    async def _read(self, letters: AsyncIterator[Delivery]) -> None:
        async for letter in letters:
            try:
                message = decode(letter.body)
            except msgspec.DecodeError as error:
                _log.warning("mailbox.unreadable", extra={"error": str(error)})
                await letter.bury(f"no message that this build can read: {error}")
                continue
            await self._open_letter(message)
            await letter.ack()

    async def _open_letter(self, message: Message) -> None:
        match message:
            case Taken():
                await self._taken(message)
            case Orders():
                self._tell(message.sequence, message.orders)
            case Recorded():
                for each in message.moved:
                    self._tell((each.job, each.epoch), True)  # noqa: FBT003  # it moved
                for each in message.stale:
                    self._tell((each.job, each.epoch), False)  # noqa: FBT003
            case _:
                _log.warning("mailbox.unexpected", extra={"kind": type(message).__name__})

    async def _taken(self, taken: Taken) -> None:
        if self._tell(taken.claim, taken):
            if taken.grant is not None:
                self._handed_over[taken.claim] = None
                if len(self._handed_over) > _REMEMBERED:
                    self._handed_over.popitem(last=False)
        elif taken.grant is not None and taken.claim not in self._handed_over:
            _log.info("take.late", extra={"job_id": taken.grant.job})
            await self.give_back(WorkerId("nobody"), taken)

    def _tell(self, key: Hashable, value: object) -> bool:
        waiting = [each for each in self._expected.get(key, []) if not each.done()]
        for each in waiting:
            each.set_result(value)
        return bool(waiting)


def _has_come(answer: asyncio.Future[Any]) -> bool:
    return answer.done() and not answer.cancelled()


async def _either(
    answer: asyncio.Future[Any], unless: asyncio.Event | None, within_s: float
) -> None:
    """Until one of them has come, or the time is over."""
    async with asyncio.TaskGroup() as group:
        waits: set[asyncio.Future[Any]] = {answer}
        if unless is not None:
            waits.add(group.create_task(unless.wait()))
        await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        for each in waits - {answer}:
            each.cancel()


async def _within(waits: Any, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await waits
    except TimeoutError as error:
        raise Unavailable("the message broker", "the mailbox is not open") from error
